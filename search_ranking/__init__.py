"""Which of the platform's videos answer this query? From clicks, which say where people looked as much as what they liked."""
