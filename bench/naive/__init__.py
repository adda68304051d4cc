"""The two endpoints as tutorials write them: what the gateway is measured against, kept as one finds it."""
