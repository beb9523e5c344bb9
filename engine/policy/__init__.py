"""Which step comes next where the author's conditions do not decide: scored by what the conversation looks like."""
