"""A plugin of augreg: two transforms, a regularizer and a preset. The manifest says where they are."""
