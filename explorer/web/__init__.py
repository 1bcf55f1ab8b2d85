"""The web server: pages, API, feeds, live updates. It only reads, and holds no key."""
