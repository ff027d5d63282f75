// Texts in which a unit can follow something.

export const PASSAGES = [
  {
    title: 'Tolstoy, quotes', model: 'war-and-peace', property: 'inside quotes',
    text: `"Well, Prince, so Genoa and Lucca are now just family estates of the Buonapartes. But I warn you, if you don't tell me that this means war, I will have nothing more to do with you and you are no longer my friend! But how do you do? I see I have frightened you, sit down and tell me all the news."

It was in July, 1805, and the speaker was the well-known Anna Pavlovna Scherer, maid of honor and favorite of the Empress Marya Fedorovna. With these words she greeted Prince Vasili Kuragin, a man of high rank and importance, who was the first to arrive at her reception.

"First of all, dear friend, tell me how you are. Set your friend's mind at rest," said he without altering his tone, beneath the politeness of which indifference and even irony could be discerned.

"Can one be well while suffering morally? Can one be calm in times like these if one has any feeling?" said Anna Pavlovna. "You are staying the whole evening, I hope?"
`,
  },
  {
    title: 'C, comments', model: 'linux', property: 'inside comment',
    text: `/*
 * Count the pages that are in use. The caller holds the lock,
 * so that none can go away while we look at them.
 */
static int count_pages(struct zone *zone, int limit)
{
\tstruct page *page;
\tint count = 0;

\tlist_for_each_entry(page, &zone->pages, list) {
\t\tif (!page_is_free(page) && count < limit) {
\t\t\t/* this one is in use, and not by us */
\t\t\tcount++;
\t\t}
\t}
\tif (count == limit)
\t\treturn -EBUSY;

\treturn count;\t/* may be zero */
}

/*
 * Nothing to do for zones that were never used.
 */
static void init_zone(struct zone *zone)
{
\tzone->count = 0;	/* nobody has added a page */
\tINIT_LIST_HEAD(&zone->pages);
\tspin_lock_init(&zone->lock);
}
`,
  },
  {
    title: 'Shakespeare, lines', model: 'shakespeare', property: 'position in line',
    text: `ROMEO:
If I profane with my unworthiest hand
This holy shrine, the gentle fine is this:
My lips, two blushing pilgrims, ready stand
To smooth that rough touch with a tender kiss.

JULIET:
Good pilgrim, you do wrong your hand too much,
Which mannerly devotion shows in this;
For saints have hands that pilgrims' hands do touch,
And palm to palm is holy palmers' kiss.

ROMEO:
Have not saints lips, and holy palmers too?

JULIET:
Ay, pilgrim, lips that they must use in prayer.

ROMEO:
O, then, dear saint, let lips do what hands do;
They pray, grant thou, lest faith turn to despair.
`,
  },
];
