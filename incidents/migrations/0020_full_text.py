"""Full text search: a document per incident, filled by a sweep; the functions that make its words."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.db import migrations, models

# Words are what letters and digits make, in lower case, without accents: incidents.rules.words.folded.
FOLDED = r"""
CREATE FUNCTION incidents_folded(said text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN regexp_replace(regexp_replace(translate(lower(normalize(said, NFKD)), 'ς', 'σ'), '[\u0300-\u036f]+', '', 'g'),
                          '[^[:alnum:]]+', ' ', 'g')
"""
# As they are, for names of things, and by their English stems. Bounded: a tsvector holds one megabyte.
FULL_TEXT = """
CREATE FUNCTION incidents_full_text(said text, longest integer) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_tsvector('pg_catalog.simple'::regconfig, left(incidents_folded(said), longest))
        || to_tsvector('pg_catalog.english'::regconfig, left(incidents_folded(said), longest))
"""
# What incidents.rules.words.read_search makes. English has no such words as "not", so what must not be there is apart.
QUERY = """
CREATE FUNCTION incidents_search_query(words text, without text) RETURNS tsquery
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (websearch_to_tsquery('pg_catalog.simple'::regconfig, words)
            || websearch_to_tsquery('pg_catalog.english'::regconfig, words))
           && !! (websearch_to_tsquery('pg_catalog.simple'::regconfig, without)
                  || websearch_to_tsquery('pg_catalog.english'::regconfig, without))
"""


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0019_reviews_and_training"),
    ]

    operations = [
        migrations.RunSQL(FOLDED, "DROP FUNCTION incidents_folded(text)"),
        migrations.RunSQL(FULL_TEXT, "DROP FUNCTION incidents_full_text(text, integer)"),
        migrations.RunSQL(QUERY, "DROP FUNCTION incidents_search_query(text, text)"),
        migrations.CreateModel(
            name="SearchDocument",
            fields=[
                (
                    "incident",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="search_document",
                        serialize=False,
                        to="incidents.incident",
                    ),
                ),
                ("seq", models.PositiveBigIntegerField()),
                ("body", models.TextField(blank=True)),
                ("words", django.contrib.postgres.search.SearchVectorField()),
                ("subject", django.contrib.postgres.search.SearchVectorField()),
                (
                    "services",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                (
                    "metrics",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None),
                ),
                (
                    "releases",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None),
                ),
                ("rolled_back_to", models.TextField(blank=True)),
                ("made_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        fields=["words"], gin_pending_list_limit=256, name="search_by_words"
                    ),
                    django.contrib.postgres.indexes.GinIndex(
                        fields=["subject"], gin_pending_list_limit=256, name="search_by_subject"
                    ),
                    django.contrib.postgres.indexes.GinIndex(
                        fields=["releases"], gin_pending_list_limit=256, name="search_by_releases"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SearchMark",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("event", models.BigIntegerField(default=0)),
                ("incident", models.BigIntegerField(default=0)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="there_is_one_search_mark")
                ],
            },
        ),
    ]
