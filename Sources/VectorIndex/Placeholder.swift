enum VectorIndexPlaceholder {}
