"""Two media, `oil` and `ink`; `maps` and `paths`, of which compositions are made; and one module per painting."""
