"""Between a request and its sources: which requests are made, and what body comes of them."""
