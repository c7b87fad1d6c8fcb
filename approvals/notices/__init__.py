"""What people are told of: kept once in the desk, then shown, mailed, and put on cards until it is settled."""
