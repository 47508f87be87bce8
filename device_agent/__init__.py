"""The device agent: samples, keeps every report until it is stable, obeys its edge."""
