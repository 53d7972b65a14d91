"""Where keys were left behind: finding them in notebooks, history, tapes and logs, and taking them out."""
