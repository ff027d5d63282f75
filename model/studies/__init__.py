"""Study recurrent cells on any text: which learns best, and how far back gradients reach.

`unrolled study` runs these; the rest of the library never imports them.
"""
