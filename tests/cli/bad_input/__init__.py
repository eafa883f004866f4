"""Every mistake a user can make gives one clear line, a non-zero exit, and leaves no half-written file."""
