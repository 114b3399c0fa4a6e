"""What fits: the memory sum, the speed, the choice. All pure."""
