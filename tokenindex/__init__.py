"""tokenindex: benchmark fixings of AI-model token prices that an outsider can reproduce bit for bit."""

__version__ = "0.1.0"
