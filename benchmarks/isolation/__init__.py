"""What it costs and brings that the runtime has a process of its own."""
