/* A text field of services, or of people, becomes one with chips and a list that searches as one types.
   Without this module, or with the server gone, their names are written with commas between. */

const one = (selector, within) => within.querySelector(selector);
const all = (selector, within) => [...within.querySelectorAll(selector)];
const made = (name, properties = {}, attributes = {}) => {
  const element = Object.assign(document.createElement(name), properties);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
};
const PAUSE = 120; // ms
const PATIENCE = 8000;

class NamesField extends HTMLElement {
  connectedCallback() {
    if (this.input) return;
    const input = (this.input = one("input", this));
    this.name = input.name;
    this.required = input.required;
    this.chips = made("ul", { className: "chips" }, { "aria-label": `Chosen ${this.words.many}` });
    this.list = made("ul", { id: `${input.id}_list`, className: "offers", hidden: true }, { role: "listbox", "aria-label": this.words.title });
    this.status = made("span", { className: "visually-hidden" }, { role: "status" });
    one("datalist", this)?.remove();
    input.removeAttribute("list");
    for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": this.list.id, "aria-autocomplete": "list", autocomplete: "off" })) input.setAttribute(name, value);
    input.placeholder = "Type to search";
    const names = input.value.split(/[\s,;]+/).filter(Boolean);
    input.value = input.defaultValue = "";
    this.prepend(this.chips);
    this.append(this.list, this.status);
    this.changed();
    this.value = this.defaultValue = names.join(" ");
    input.form?.addEventListener("reset", () => { this.value = this.defaultValue; });
    input.addEventListener("focus", () => this.ask(0));
    input.addEventListener("input", () => this.ask(PAUSE));
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.press(event));
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => this.add(event.target.closest("[role=option]")?.dataset.slug));
    this.chips.addEventListener("click", (event) => this.drop(event.target.closest("button")?.closest("li")));
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    this.request?.abort();
  }

  get chosen() {
    return all("input", this.chips).map((hidden) => hidden.value);
  }

  /* As any field has it, so that a dialog can keep and give back what was chosen. */
  get value() {
    return this.chosen.join(" ");
  }

  set value(names) {
    this.chips.replaceChildren();
    this.changed();
    names.split(" ").forEach((name) => this.add(name, { quiet: true }));
  }

  add(slug, { quiet = false } = {}) {
    if (!slug) return;
    if (!this.chosen.includes(slug)) {
      const chip = made("li", { className: "chip" });
      const button = made("button", { type: "button", textContent: "×" }, { "aria-label": `Remove ${slug}` });
      chip.append(made("bdi", { textContent: slug }), made("input", { type: "hidden", name: this.name, value: slug }), button);
      this.chips.append(chip);
    }
    this.input.value = "";
    this.changed();
    if (quiet) return;
    this.status.textContent = `${slug} added, ${this.chosen.length} chosen`;
    this.close();
  }

  drop(chip) {
    if (!chip) return;
    this.status.textContent = `${one("input", chip).value} removed`;
    chip.remove();
    this.changed();
    this.input.focus();
  }

  /* What is chosen counts as an answer; the browser looks at the text alone. */
  changed() {
    this.input.required = this.required && !this.chosen.length;
    this.chips.hidden = !this.chosen.length;
  }

  press(event) {
    const words = this.input.value.trim();
    const current = this.shownFor === words; // else the list is of fewer letters than there are
    const active = this.open && current ? this.active : null;
    if (event.isComposing || event.altKey) return;
    if (event.ctrlKey || event.metaKey) {
      if (event.key === "Enter" && active && words) this.add(active.dataset.slug); // the form is sent with it
      return;
    }
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!this.open) return this.ask(0);
      const offers = all("[role=option]", this.list);
      const place = offers.indexOf(this.active);
      const next = event.key === "ArrowDown" ? place + 1 : place < 0 ? offers.length - 1 : place - 1;
      if (offers.length) this.mark(offers[(next + offers.length) % offers.length]);
    } else if (event.key === "Enter" && active) {
      event.preventDefault();
      this.add(active.dataset.slug);
    } else if (event.key === "Enter" && words && !current && !this.gone) {
      event.preventDefault(); // whoever types faster than the server answers means the first
      this.ask(0);
      this.eager = true;
    } else if (event.key === "Tab" && active && words) {
      this.add(active.dataset.slug); // and on to the next field
    } else if (event.key === "," && words) {
      event.preventDefault();
      this.add(this.written(words));
    } else if (event.key === "Escape" && this.open) {
      event.preventDefault(); // the list is closed, the dialog stays
      event.stopPropagation();
      this.close();
    } else if (event.key === "Backspace" && !this.input.value) {
      this.drop(this.chips.lastElementChild);
    }
  }

  ask(pause) {
    this.eager = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.search(this.input.value.trim()), pause);
  }

  async search(words) {
    this.request?.abort();
    const mine = (this.request = new AbortController());
    let gaveUp = false;
    const limit = setTimeout(() => { gaveUp = true; mine.abort(); }, PATIENCE);
    try {
      const answer = await fetch(`${this.dataset.url}?q=${encodeURIComponent(words)}`, { signal: mine.signal, redirect: "error" });
      if (!answer.ok) throw new Error(`${this.words.many} answered ${answer.status}`);
      const found = (await answer.json())[this.words.many];
      this.gone = false;
      if (mine === this.request && document.activeElement === this.input) this.show(found, words);
    } catch (error) {
      if (error.name === "AbortError" && !gaveUp) return;
      this.gone = true;
      this.close();
      this.status.textContent = `${this.words.title} cannot be looked up now: write their ${this.words.names}, with commas between.`;
    } finally {
      clearTimeout(limit);
    }
  }

  show(found, words) {
    const chosen = this.chosen;
    const offers = found.filter(({ slug }) => !chosen.includes(slug)).map(({ slug, name, detail }, index) => {
      const option = made("li", { id: `${this.list.id}_${index}` }, { role: "option", "aria-selected": "false", "data-slug": slug });
      option.append(made("bdi", { className: "clip", textContent: name }), made("span", { className: "small muted clip push", textContent: `${slug} · ${detail}` }));
      return option;
    });
    this.list.replaceChildren(...offers);
    this.shownFor = words;
    this.open = offers.length > 0;
    this.list.hidden = !this.open;
    this.input.setAttribute("aria-expanded", String(this.open));
    this.mark(words ? offers[0] : null);
    this.status.textContent = offers.length ? `${offers.length} ${this.words.many}` : words ? `No ${this.words.one} like that` : "";
    if (this.eager && words && offers.length) this.add(offers[0].dataset.slug);
    this.eager = false;
  }

  mark(option) {
    this.active?.setAttribute("aria-selected", "false");
    this.active = option ?? null;
    this.active?.setAttribute("aria-selected", "true");
    this.active?.scrollIntoView({ block: "nearest" });
    if (this.active) this.input.setAttribute("aria-activedescendant", this.active.id);
    else this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    clearTimeout(this.timer);
    this.request?.abort();
    this.open = false;
    this.list.hidden = true;
    this.list.replaceChildren();
    this.input.setAttribute("aria-expanded", "false");
    this.mark(null);
  }
}

customElements.define("services-field", class extends NamesField {
  words = { one: "service", many: "services", title: "Services", names: "short names" };

  written(words) {
    return words.toLowerCase();
  }
});

customElements.define("people-field", class extends NamesField {
  words = { one: "account", many: "people", title: "People", names: "names" };

  written(words) {
    return words;
  }
});
