// Texts to look at cells with: of the kinds in which a unit can follow something.

export const PASSAGES = [
  {
    title: 'Tolstoy, quotes', model: 'war-and-peace', property: 'inside quotes',
    text: `"Well, Prince, so Genoa and Lucca are now just family estates of the Buonapartes. But I warn you, if you don't tell me that this means war, I will have nothing more to do with you and you are no longer my friend! But how do you do? I see I have frightened you, sit down and tell me all the news."

It was in July, 1805, and the speaker was the well-known Anna Pavlovna Scherer, maid of honor and favorite of the Empress Marya Fedorovna. With these words she greeted Prince Vasili Kuragin, a man of high rank and importance, who was the first to arrive at her reception.

"First of all, dear friend, tell me how you are. Set your friend's mind at rest," said he without altering his tone, beneath the politeness of which indifference and even irony could be discerned.

"Can one be well while suffering morally? Can one be calm in times like these if one has any feeling?" said Anna Pavlovna. "You are staying the whole evening, I hope?"

"And the fete at the English ambassador's? Today is Wednesday. I must put in an appearance there," said the prince. "My daughter is coming for me to take me there."

"I thought today's fete had been canceled. I confess all these festivities and fireworks are becoming wearisome."

"If they had known that you wished it, the entertainment would have been put off," said the prince, who, like a wound-up clock, by force of habit said things he did not even wish to be believed.

"Don't tease! Well, and what has been decided about the dispatch? You know everything."

Prince Vasili always spoke languidly, like an actor repeating a stale part. Anna Pavlovna Scherer on the contrary, despite her forty years, overflowed with animation and impulsiveness. To be an enthusiast had become her social vocation and, sometimes even when she did not feel like it, she became enthusiastic in order not to disappoint the expectations of those who knew her.

"Oh, don't speak to me of Austria. Perhaps I don't understand things, but Austria never has wished, and does not wish, for war. She is betraying us! Russia alone must save Europe." She suddenly paused, smiling at her own impetuosity.

"I think," said the prince with a smile, "that if you had been sent instead of our dear friend you would have captured the consent by assault. You are so eloquent. Will you give me a cup of tea?"

"In a moment." She became calm again, and the guests began to arrive. The drawing room was gradually filling. All of them were at ease and talked of the weather and of the war.
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
 * Nothing to do for zones that were never used: their lists are
 * empty, and whoever adds the first page sets the rest.
 */
static void init_zone(struct zone *zone)
{
\tzone->count = 0;	/* nobody has added a page */
\tINIT_LIST_HEAD(&zone->pages);
\tspin_lock_init(&zone->lock);
}

/**
 * zone_add - give a page to a zone
 * @zone: the zone
 * @page: the page, which must not be in another one
 *
 * Returns 0, or -EINVAL if the page has an owner.
 */
int zone_add(struct zone *zone, struct page *page)
{
\tunsigned long flags;

\tif (page->zone)
\t\treturn -EINVAL;

\tspin_lock_irqsave(&zone->lock, flags);
\tlist_add(&page->list, &zone->pages);
\tpage->zone = zone;
\tzone->count++;
\tspin_unlock_irqrestore(&zone->lock, flags);

\t/* the page may be used from here on */
\treturn 0;
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

JULIET:
Saints do not move, though grant for prayers' sake.

ROMEO:
Then move not, while my prayer's effect I take.
Thus from my lips, by yours, my sin is purged.

JULIET:
Then have my lips the sin that they have took.

ROMEO:
Sin from thy lips? O trespass sweetly urged!
Give me my sin again.

JULIET:
You kiss by the book.

Nurse:
Madam, your mother craves a word with you.
`,
  },
];
