"""What a user sees of a run: the frame, the accessor ``df.llm``, and safe pictures of answers, comparisons and progress.

Importing this package registers the pandas accessor.
"""
