"""The JSON API: the pages that programs may use too, with a token of the hub."""
