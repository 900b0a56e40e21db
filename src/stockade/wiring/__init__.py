"""Make the layers from settings and put them together; `stockade.application` is what calls it."""
