from .looking import place, trained

__all__ = ["place", "trained"]
