"""How right an agent is on its author's own messages: asked through the engine, counted, and shown."""
