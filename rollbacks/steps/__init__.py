"""What a step can do: one module per kind, each knows neither the ORM nor its neighbours."""
