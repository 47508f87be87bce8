"""Pure twin logic: values in, values out. No IO, clock, randomness, logging or asyncio."""
