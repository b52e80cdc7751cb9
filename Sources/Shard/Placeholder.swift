enum ShardPlaceholder {}
