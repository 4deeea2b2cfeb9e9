"""The words of the world: 16 topics of 24 concepts, three words for each; intents, fillers, six languages' small words, made-up names.

A word belongs to one concept (test_world.py), so what a text is about can be told from it, if one knows which words mean the same. Content
words are English in all six languages and only the small words differ: enough to tell the language, no test of translation.

Texts are rows of word ids, -1 for none, until `spelled` joins them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints

NAMES = (  # of the topics, in the order of their appeal
    "music", "cooking", "football", "games", "pets", "fashion", "cars", "travel", "fitness", "science", "technology", "comedy", "art",
    "garden", "politics", "family",
)  # fmt: skip

TOPICS = (  # 24 concepts a topic; of each the plain word first, then what those say who know about it
    """guitar/sixstring/fretboard drums/drummer/percussion piano/pianist/ivories violin/fiddle/cello singing/vocals/crooner concert/gig/recital
    melody/tune/refrain album/record/vinyl bass/bassline/groove jazz/swing/bebop rap/hiphop/emcee choir/chorus/ensemble
    lyrics/songwriting/verses trumpet/brass/horn flute/woodwind/piccolo dj/turntable/mixer karaoke/singalong/openmic opera/aria/soprano
    folk/ballad/bluegrass metal/headbanging/hardrock synth/electronica/oscillator festival/lineup/mainstage rhythm/tempo/metronome
    headphones/earphones/earbuds""",
    """pasta/noodles/spaghetti bread/loaf/sourdough soup/broth/stew cake/sponge/gateau chicken/poultry/drumstick curry/masala/vindaloo
    salad/greens/slaw rice/risotto/pilaf pizza/flatbread/calzone knife/cleaver/chopping oven/baking/casserole grill/barbecue/bbq
    dessert/pudding/sweets breakfast/brunch/pancakes coffee/espresso/latte vegan/meatless/plantbased seafood/fish/prawns
    cheese/cheddar/mozzarella spices/seasoning/herbs chocolate/cocoa/truffle sushi/maki/nigiri pickles/fermenting/kimchi
    eggs/omelette/frittata smoothie/juice/blender""",
    """goal/scorer/netted goalkeeper/keeper/goalie penalty/spotkick/shootout dribbling/footwork/stepover transfer/signing/deadlineday
    coach/manager/gaffer league/division/standings cup/knockout/trophy derby/rivalry/clash defender/fullback/centreback
    striker/forward/poacher midfielder/playmaker/winger referee/ref/whistle offside/linesman/var stadium/ground/arena
    fans/supporters/ultras header/aerial/crosses freekick/setpiece/curler boots/cleats/studs tactics/formation/pressing
    injury/hamstring/sidelined academy/youth/prospects captain/skipper/armband jersey/kit/shirt""",
    """boss/raid/endgame speedrun/anypercent/glitchless shooter/fps/gunplay strategy/rts/skirmish puzzle/brainteaser/riddle
    platformer/sidescroller/jumping sandbox/openworld/crafting controller/gamepad/joystick console/handheld/cartridge loot/drops/chests
    quest/mission/storyline esports/tournament/competitive retro/arcade/pixel mod/modding/addon patch/changelog/hotfix
    multiplayer/coop/online horror/scary/survival roleplay/rpg/dungeon chess/checkmate/gambit boardgame/tabletop/dice
    deck/cards/deckbuilder achievement/completionist/platinum streamer/playthrough/letsplay leaderboard/highscore/ladder""",
    """puppy/dog/doggo kitten/cat/kitty parrot/bird/cockatoo aquarium/fishtank/goldfish hamster/gerbil/rodent rabbit/bunny/lop
    leash/lead/harness vet/veterinarian/checkup brushing/combing/clipper rescue/shelter/adoption obedience/commands/heel
    barking/howling/woof paws/claws/nailtrim litter/litterbox/scooping treats/kibble/petfood tortoise/turtle/reptile horse/pony/saddle
    crate/kennel/doghouse fleas/ticks/parasites chewtoy/fetch/squeaky snake/serpent/terrarium hen/henhouse/hatching
    breeds/pedigree/crossbreed vaccination/jab/immunity""",
    """lipstick/lipgloss/balm makeup/cosmetics/foundation skincare/moisturizer/serum outfit/ootd/lookbook dress/gown/frock
    jeans/denim/trousers sneakers/trainers/kicks handbag/purse/tote jewelry/necklace/earrings perfume/fragrance/scent
    haircut/hairstyle/barber braids/plaits/cornrows manicure/nails/cuticle vintage/thrift/secondhand runway/catwalk/couture
    wardrobe/closet/hangers sewing/stitching/tailoring sweater/cardigan/knitwear jacket/coat/parka sunglasses/shades/eyewear
    hat/cap/beanie scarf/shawl/pashmina swimsuit/bikini/swimwear mascara/eyeliner/lashes""",
    """engine/motor/powertrain hybrid/ev/plugin drift/skid/burnout garage/workshop/mechanic tyres/wheels/rims brakes/calipers/rotors
    turbo/boost/supercharger racing/motorsport/laps bicycle/bike/cycle motorcycle/motorbike/scooter truck/lorry/pickup
    van/camper/motorhome paint/respray/lacquer gearbox/transmission/clutch convertible/cabriolet/roadster suv/crossover/fourwheeler
    dashboard/gauges/cockpit parking/valet/reversing exhaust/muffler/tailpipe battery/alternator/charging roadtrip/driving/highway
    oldtimer/restomod/barnfind suspension/shocks/coilovers carwash/detailing/waxing""",
    """beach/coast/seaside hostel/guesthouse/backpackers hotel/resort/lodge airport/layover/departures flight/airline/plane
    train/railway/locomotive cruise/ship/ferry visa/passport/customs island/archipelago/atoll mountain/summit/peak
    hiking/trekking/trail camping/tent/campsite temple/ruins/pagoda museum/gallery/exhibit desert/dunes/oasis jungle/rainforest/canopy
    safari/wildlife/savanna diving/scuba/snorkeling skiing/snowboarding/slopes luggage/suitcase/packing streetfood/hawker/nightmarket
    sunset/dusk/twilight castle/fortress/palace waterfall/cascade/gorge""",
    """deadlift/barbell/powerlifting squat/lunges/quads yoga/asana/vinyasa running/jogging/sprint marathon/halfmarathon/racebib
    protein/whey/shake abs/core/crunches pushups/pressups/calisthenics cardio/hiit/aerobics spinning/velodrome/cadence
    swimming/freestyle/backstroke boxing/kickboxing/sparring pilates/reformer/toning stretching/flexibility/warmup
    dumbbell/weights/kettlebell treadmill/elliptical/rower recovery/rest/foamroller diet/nutrition/calories sleep/napping/circadian
    biceps/arms/triceps climbing/bouldering/belay pullups/chinups/lats tennis/racket/forehand meditation/mindfulness/breathwork""",
    """rocket/launch/liftoff galaxy/nebula/cosmos quantum/qubit/entanglement fossil/dinosaur/paleontology volcano/lava/eruption
    telescope/observatory/stargazing brain/neuron/synapse laboratory/lab/experiment chemistry/molecules/reaction physics/inertia/momentum
    genetics/dna/genome evolution/mutation/species ocean/marine/deepsea climate/warming/emissions planet/mars/jupiter moon/lunar/crater
    blackhole/singularity/wormhole bacteria/microbes/germs maths/algebra/calculus geometry/theorem/polygon electricity/voltage/circuit
    weather/storm/tornado insects/beetles/ants archaeology/excavation/artifacts""",
    """coding/programming/python laptop/notebook/ultrabook phone/smartphone/mobile robot/drone/automation processor/chip/cpu
    server/cloud/datacenter hacker/cybersecurity/malware startup/founder/venture camera/lens/dslr printer/filament/extruder
    keyboard/keycaps/typing monitor/display/screen router/wifi/broadband database/sql/spreadsheet website/webpage/html
    software/app/application linux/ubuntu/commandline chatbot/ai/neuralnet headset/vr/metaverse smartwatch/wearable/tracker
    password/encryption/vpn storage/backup/harddrive speaker/soundbar/subwoofer graphics/gpu/shader""",
    """prank/hoax/trickster standup/comedian/comic parody/spoof/satire sketch/skit/improv fail/blooper/mishap roast/banter/heckler
    meme/gag/viral awkward/cringe/embarrassing impersonation/mimicry/lookalike puns/wordplay/dadjokes clown/slapstick/pratfall
    sitcom/laughtrack/episode puppet/ventriloquist/marionette joke/punchline/oneliner magic/illusion/sleight animation/cartoon/claymation
    dubbing/voiceover/lipsync hiddencamera/candid/bystander office/coworker/workplace dating/firstdate/matchmaking
    neighbours/landlord/roommate talkshow/host/monologue quiz/trivia/gameshow costume/disguise/wig""",
    """watercolor/aquarelle/gouache canvas/oilpainting/easel sculpture/carving/chisel origami/paperfold/papercraft mural/graffiti/spraypaint
    pottery/ceramics/clay calligraphy/lettering/brushpen drawing/pencil/charcoal doodle/scribble/zentangle portrait/likeness/selfportrait
    landscape/scenery/pleinair manga/graphicnovel/webtoon photography/photo/snapshot embroidery/crossstitch/needlework
    knitting/crochet/yarn collage/scrapbook/decoupage printmaking/linocut/etching tattoo/ink/stencil mosaic/stainedglass/tiles
    woodwork/carpentry/joinery beads/macrame/bracelet colour/palette/hue candle/soap/wick ballet/dance/choreography""",
    """tomato/heirloom/plumtomato vegetables/veg/allotment compost/mulch/humus orchid/phalaenopsis/epiphyte rose/rosebush/floribunda
    greenhouse/polytunnel/glasshouse pruning/secateurs/deadheading beehive/bees/honey lawn/grass/turf mowing/mower/strimmer
    bonsai/juniper/dwarftree seeds/seedlings/germination watering/irrigation/hosepipe weeds/dandelion/herbicide slugs/snails/pests
    pond/koi/waterlily cactus/succulent/aloe apples/orchard/fruittree berries/strawberry/raspberry basil/mint/thyme
    fence/trellis/pergola patio/terrace/paving tulips/bulbs/daffodil pumpkin/gourd/butternut""",
    """election/ballot/polling vote/voter/turnout budget/deficit/treasury protest/march/demonstration minister/secretary/cabinet
    parliament/congress/senate president/presidency/statesman treaty/accord/pact court/ruling/judge inflation/prices/costofliving
    border/migration/asylum tax/taxation/levy housing/rent/mortgage healthcare/hospital/clinic strike/union/walkout
    debate/rebuttal/podium campaign/rally/canvassing referendum/plebiscite/petition constitution/amendment/statute police/sheriff/constable
    embassy/diplomat/ambassador trade/tariff/exports pension/retirement/welfare mayor/council/municipal""",
    """baby/toddler/infant homework/schoolwork/assignment bedtime/lullaby/nursery playground/sandpit/seesaw pregnancy/bump/trimester
    stroller/pram/buggy teenager/teen/adolescent birthday/party/celebration wedding/bride/groom grandparents/grandma/grandpa
    siblings/brother/sister diaper/nappy/potty twins/triplets/newborns chores/cleaning/tidying picnic/outing/daytrip
    fairytale/storytime/picturebook toys/dolls/playset blocks/bricks/duplicates school/classroom/teacher allowance/pocketmoney/piggybank
    tantrum/meltdown/discipline christmas/xmas/advent moving/relocation/movers anniversary/romance/valentine""",
)
INTENT_NAMES = ("howto", "review", "news", "live", "funny", "beginner", "compare", "story")
INTENTS = (
    "howto/tutorial/guide review/verdict/tested news/update/headlines live/livestream/broadcast funny/hilarious/lol "
    "beginner/basics/starter comparison/versus/vs story/documentary/vlog"
)
FILLERS = (
    "best", "new", "today", "part", "full", "first", "top", "why", "tips", "challenge", "now", "day", "easy", "quick", "great", "real",
    "part2", "episode1", "2024", "hd", "official",
)  # fmt: skip
BAIT = ("stunning", "unbelievable", "insane", "secret", "mustsee", "wow", "omg", "nobody")  # what catchy titles say
LANGUAGES = ("en", "es", "de", "fr", "pt", "hi")
SMALL = (  # words of each language, romanised; the last is a greeting
    "the a with for and of this your very hello",
    "el los con para una muy pero como esta hola",
    "der das mit für und ein nicht auf ist hallo",
    "le les avec pour une très mais dans cette bonjour",
    "o os com uma muito mas seu isso não olá",
    "aur ke liye hai yeh mera kaise ka bahut namaste",
)
NUM_TOPICS, CONCEPTS_PER_TOPIC, NUM_FORMS, ENTITIES_PER_TOPIC = 16, 24, 3, 200
NUM_CONCEPTS, NUM_INTENTS, NUM_ENTITIES = NUM_TOPICS * CONCEPTS_PER_TOPIC, 8, NUM_TOPICS * ENTITIES_PER_TOPIC


def _name(entity: int) -> str:
    """A made-up name of two syllables, another for every id below 3600: 7 and 3600 share no factor."""
    first, second = divmod(entity * 7 % 3_600, 60)
    cluster = first // 5 * 2
    opening = "bldrflgrklprsksntrvlwrzh"[cluster : cluster + 2] + "aeiou"[first % 5]
    return opening + "bdfgjkmpqvwz"[second // 5] + "aeiou"[second % 5] + "xrn"[entity % 3]


def _flat(lines: str) -> list[str]:
    return lines.replace("/", " ").split()


_PARTS = (
    _flat(" ".join(TOPICS)),
    _flat(INTENTS),
    FILLERS,
    BAIT,
    _flat(" ".join(SMALL)),
    [_name(entity) for entity in range(NUM_ENTITIES)],
)
VOCABULARY = [word for part in _PARTS for word in part]
_, _INTENT, _FILLER, _BAIT, _SMALL, _ENTITY, _ = np.cumsum([0, *map(len, _PARTS)]).tolist()


def concept_word(concept: Ints, form: Ints) -> Ints:
    """The id of a word, or -1 where `concept` is; so are all below."""
    return np.where(concept < 0, -1, concept * NUM_FORMS + form)


def intent_word(intent: Ints, form: Ints) -> Ints:
    return np.where(intent < 0, -1, _INTENT + intent * NUM_FORMS + form)


def entity_word(entity: Ints) -> Ints:
    return np.where(entity < 0, -1, _ENTITY + entity)


def filler(u: Floats) -> Ints:
    """`u` in (0, 1): which."""
    words: Ints = _FILLER + (u * len(FILLERS)).astype(np.int64)
    return words


def bait(u: Floats) -> Ints:
    words: Ints = _BAIT + (u * len(BAIT)).astype(np.int64)
    return words


def small_word(language: Ints, u: Floats) -> Ints:
    return np.where(language < 0, -1, _SMALL + language * 10 + (u * 10).astype(np.int64))


def spelled(words: Ints) -> NDArray[np.str_]:
    """words [n, k], -1 for none -> [n] texts, single spaces."""
    texts = [" ".join([VOCABULARY[word] for word in row if word >= 0]) for row in words.tolist()]
    return np.array(texts, dtype=np.str_)
