// Builds src/ into dist/, and writes into the page which commit it was built of.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

rmSync("dist", { recursive: true, force: true });
mkdirSync("dist");
cpSync("src", "dist", { recursive: true });
const page = readFileSync("dist/index.html", "utf8");
writeFileSync("dist/index.html", page.replace("COMMIT", process.env.FRONTEND_COMMIT ?? "unknown"));
