"""Programs that read Tapeline's topics: to run as they are, and to begin one's own with. They import nothing of Tapeline."""
