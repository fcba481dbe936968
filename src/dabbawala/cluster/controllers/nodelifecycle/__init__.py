"""Node lifecycle: noticing nodes that fall silent, and what that means for their pods."""
