"""What several losses share: tiles, columns, gathering across processes."""
