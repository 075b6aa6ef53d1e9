"""How far the running statistics of batch norm are from given images, and new ones."""
