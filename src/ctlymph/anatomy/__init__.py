"""Body, lungs, airways and spine in a CT; search regions and stations."""
