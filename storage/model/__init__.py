"""The vocabulary, all frozen: pydantic for what people write, msgspec for what the engine moves by the thousand."""
