"""The web console: a page, a style sheet and four scripts, served from memory by `ruche.engine.server.console`."""
