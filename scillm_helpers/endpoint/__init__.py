"""The embedded OpenAI-compatible endpoint. Start it with `scillm_helpers.endpoint.serve`."""
