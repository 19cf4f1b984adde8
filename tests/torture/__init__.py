"""What galnb must survive: `python -m tests.torture` is all of it, `tests/test_torture.py` a taste."""
