"""What a user sees of a run: the frame, the accessor ``df.llm``, and safe pictures of answers, comparisons and progress.

Importing `frames` brings pandas and registers the accessor; the rest does without pandas.
"""
