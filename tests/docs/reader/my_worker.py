"""A reader's worker, as pages name it: a program that holds one conversation."""

from my_bot import answer

answer("Where is my order?")
