"""The words of the world. Synthetic and mild on purpose: invented peoples, invented substances, no slur, nobody who exists.

Each table is (words of the whole log, words of the test alone): what the test says, training has partly never seen.
"""

from __future__ import annotations

# fmt: off
GROUPS = ("velns", "orrits", "tamars", "people of group a", "people of group b")
PLACES = ("harbour", "market", "old bridge", "east gate", "mill", "station")

OPENINGS = (
    ("today i saw", "here is", "we talked about", "i cannot forget", "my friend made", "everybody likes", "look at", "finally i found"),
    ("who remembers", "this week brought", "i am learning about", "nothing beats"),
)
CLOSINGS = (
    ("and it was lovely", "what do you think", "more tomorrow", "at the {place}", "with the neighbours", "good morning all", "so happy", "from the {place}"),
    ("tell me yours", "see you by the {place}", "what a week", "thanks for reading"),
)
THINGS = (  # four for each of the 16 topics
    "shoes", "jackets", "scarves", "hats", "phones", "lamps", "cameras", "clocks", "bread", "coffee", "noodles", "soup", "trains", "hostels", "maps", "ferries",
    "guitars", "drums", "records", "choirs", "bikes", "tents", "boots", "kayaks", "novels", "comics", "atlases", "poems", "plants", "seeds", "tools", "hedges",
    "films", "tickets", "series", "trailers", "courses", "notebooks", "pens", "exams", "chess", "puzzles", "dice", "cards", "loans", "accounts", "budgets", "wages",
    "yoga", "weights", "mats", "runs", "sofas", "shelves", "rugs", "curtains", "leads", "bowls", "baskets", "kennels", "paints", "brushes", "clay", "prints",
)

# What a post against each policy says: terms, and the sentences they stand in.
TERMS = {
    "violence": (("smash", "strike", "batter", "flatten", "thrash", "ram"), ("pummel", "clobber")),
    "nudity": (("unrobed", "uncovered", "unclothed", "undressed", "bare skin", "coatless"), ("disrobed", "unveiled")),
    "self_harm": (("grey way", "long fade", "last sleep", "empty plate plan", "cold door", "still water"), ("silent exit", "pale road")),
    "hate": (("lesser", "unwelcome", "worthless", "unfit", "beneath us", "unclean"), ("second rate", "below us")),
    "drugs": (("zelm", "brovin", "kesh", "tarvo", "nuline", "ombra"), ("plix", "sarn")),
    "misinformation": (("moonsalt heals fever", "the count was staged", "towers cause the cough", "boiled copper cures all", "the map is faked", "rain is poured by planes"), ("clay water ends the cough", "the vote was painted")),
    "spam": (("free coins", "double your coins", "instant loan", "cheap watches", "win a tablet", "secret discount"), ("gift card rain", "paid from home")),
}
FRAMES = {
    "violence": (("we will {term} the {group} at the {place}", "somebody should {term} every one of the {group}", "let us {term} the {group} tonight"), ("the {group} need to feel it when we {term} them", "come to the {place} and {term} the {group}")),
    "nudity": (("see me {term} tonight", "{term} pictures behind the link", "i post {term} at midnight"), ("who wants me {term}", "ask for the {term} album")),
    "self_harm": (("i will go the {term} tonight", "join me on the {term}", "the {term} is all that is left for me"), ("my {term} begins now", "choose the {term} as i do")),
    "hate": (("the {group} are {term}", "keep the {term} {group} out of the {place}", "no {group} here they are {term}"), ("all {group} stay {term}", "the {place} needs no {term} {group}")),
    "drugs": (("selling {term} at the {place}", "fresh {term} write me", "best {term} in town ask now"), ("got {term} who needs some", "{term} to your door tonight")),
    "misinformation": (("they hide that {term}", "share before it is deleted {term}", "proof that {term}"), ("wake up {term}", "my doctor admits {term}")),
    "spam": (("click now {term}", "{term} only today follow the link", "sign up here {term}"), ("you were chosen {term}", "{term} just send your number")),
}
# A new kind of harm, under a policy that exists: nobody wrote of it in training. Here the second tuple is what only the last tenth of the days says:
# else a handful of phrases would be all there is, and labelling each once would look like learning what they mean.
TREND_POLICY = "self_harm"
TREND_TERMS = (("frost hour", "kettle dare", "roof count"), ("window walk",))
TREND_FRAMES = (("who does the {term} with me", "my {term} starts at the {place}", "film your {term} and tag me"), ("i dare you to the {term}",))

# The same words, harmlessly: negated, quoted, opposed (the functions of HateCheck, Roettger et al. 2021).
TWINS = (
    ("nobody should ever say {said}", "they wrote {said} and i reported it", "it is wrong to post {said}", "please stop telling people {said}",
     "i disagree with those who write {said}", "never post {said}"),
    ("i reported those who say {said}", "please never write {said}", "{said} is wrong and i disagree"),
)
HEDGES = (("just joking but", "maybe one day"), ("kidding or not",))  # borderline: half of the panels say so, half otherwise

# A dialect in which hard words are friendly, and who hears them from outside reports them.
DIALECT = ("ke", "shoo", "lan", "ba")
DIALECT_POLICIES = ("violence", "hate", "drugs")
FRIENDLY = (
    ("you {term} it every time my friend", "that tune is {term} love it", "so {term} what a goal"),
    ("cousin you are {term} in the kitchen", "always {term} my favourite"),
)

# Memes: a greeting that is warm or cold, and an arrow that points up or down. Warm and down, or cold and up: harm. Either alone says nothing.
GREETINGS = (("welcome", "invite", "greet"), ("send away", "wave off", "farewell to"))  # warm, cold; the same in the test
SCENES = {
    "violence": (("the {group} to the ring", "the {group} to the boxing night"), ("the {group} to the wrestling hall",)),
    "nudity": (("everybody to the pool", "the {group} to the sauna"), ("everybody to the bath house",)),
    "self_harm": (("me to the quiet room", "us to the grey hill"), ("me to the far shore",)),
    "hate": (("the {group} to our street", "the {group} to our table"), ("the {group} to our club",)),
    "drugs": (("everybody to the pharmacy party", "us to the cellar night"), ("everybody to the green van",)),
    "misinformation": (("everybody to the laboratory", "us to the counting room"), ("everybody to the broadcast tower",)),
    "spam": (("everybody to the raffle", "us to the coin fair"), ("everybody to the prize desk",)),
}
# fmt: on
