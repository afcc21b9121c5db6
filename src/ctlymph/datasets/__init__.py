"""Cases with CTs and annotations: layouts, folds, exports, and the public collection."""
