"""Studies of recurrent cells on a text of one's own: which learns best, and why some forget.

Run by `unrolled study`; the library never imports them.
"""
