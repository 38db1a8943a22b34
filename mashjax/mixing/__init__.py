"""From two clips to a mashup: the rooms above, put in a row."""
