"""The last part of the way: responses, and how their bodies are sent."""
