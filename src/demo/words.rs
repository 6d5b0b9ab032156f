//! Invented names: people, places, carriers, suppliers. Any likeness is chance; all mail goes to reserved domains.

pub(super) const COMPANY: &str = "Quillhaven Trading";
pub(super) const WAREHOUSES: [&str; 2] = ["VELDHOEK", "ZANDRIJK"];
/// The last one carries pallets of trade orders.
pub(super) const CARRIERS: [&str; 4] = ["Dunmarrow Parcel", "Tessaly Express", "Pennywhistle Post", "Ostrel Freight"];
pub(super) const CARRIER_CODES: [&str; 4] = ["DM", "TX", "PW", "OF"];
pub(super) const HUBS: [&str; 6] =
    ["Sorting hub Hoogbroek", "Depot Liemerveen", "Hub Ravelsdijk", "Depot Oosterlinde", "Hub Maasbrink", "Depot Kempzicht"];
pub(super) const BUYERS: [&str; 3] = ["I. Dravenhuis", "M. Oskelaar", "P. Winterveld"];
pub(super) const COUNTERS: [&str; 4] = ["team early", "team late", "R. Bollinghof", "S. Uterwaard"];

pub(super) const FIRST_NAMES: [&str; 32] = [
    "Anneke", "Bram", "Carlijn", "Daan", "Elin", "Floris", "Greet", "Hanno", "Ilse", "Joris", "Kaat", "Lennart", "Mirte",
    "Niels", "Odile", "Pepijn", "Quirine", "Ruben", "Saskia", "Teun", "Ursel", "Victor", "Wende", "Xander", "Yara", "Zeger",
    "Amber", "Boudewijn", "Claartje", "Dorus", "Evi", "Fenna",
];
pub(super) const LAST_NAMES: [&str; 32] = [
    "Vandermoor", "Ostelaar", "Brackelveld", "Tjarksen", "Wolderink", "Hagelkamp", "Druivenhof", "Zilverbeek", "Lindekker",
    "Moerstra", "Poldervliet", "Quakelaar", "Rietschoor", "Steenwal", "Tulpenaar", "Uilenbroek", "Veldkamper", "Westerhuyn",
    "Ijsselroth", "Zoutman-Karel", "Appelterre", "Boskamer", "Colverdonk", "Duinzigt", "Elzenaar", "Fluitsma-Roe",
    "Gansevoird", "Heidelaar", "Immerzeel-Po", "Jongelinck", "Klaverblad", "Lootswal",
];
pub(super) const STREETS: [&str; 16] = [
    "Lindenpad", "Oude Kade", "Molenweide", "Kastanjehof", "Haringstraat", "Weversgang", "Zonneplein", "Achterdijk",
    "Pottenbakkerslaan", "Klokkenveld", "Spinozahof", "Turfmarkt", "Veerdam", "Wilgenroos", "Bleekerskade", "Torenzicht",
];
pub(super) const TOWNS: [(&str, &str, &str); 12] = [
    ("Hoogbroek", "1091", "NL"), ("Liemerveen", "6841", "NL"), ("Ravelsdijk", "3092", "NL"), ("Oosterlinde", "7521", "NL"),
    ("Maasbrink", "5981", "NL"), ("Kempzicht", "2391", "BE"), ("Duinoord aan Zee", "2041", "NL"), ("Scheldemonde", "9141", "BE"),
    ("Wittebrugge", "8391", "BE"), ("Terwolde Oost", "7391", "NL"), ("Nieuwermeer", "1431", "NL"), ("Haspelgouw", "3841", "BE"),
];
pub(super) const TRADE_NAMES: [&str; 40] = [
    "Lantern & Loam Garden Centres", "Hotel De Vier Winden", "Brouwhuis Kitchens", "Studio Oerwoud Interiors",
    "Kaap & Ketel Cookshops", "Groenmans Tuinland", "Bistro Het Zoute Nest", "Marktkade Department Stores",
    "Vuurvast Outdoor Cooking", "Landgoed Ternoot Events", "Pand Zeven Lifestyle", "Zilverlepel Catering",
    "Buitenkeuken Collectief", "De Blauwe Schuur Farm Shops", "Atelier Kiezel", "Huis & Haardgoed Wholesale",
    "Noordoever Holiday Parks", "Kruidentuin Botanicals", "Werkbank Tool Hire", "Pension Duinroos",
    "Tafelgenoten Restaurants", "Oogst & Co Grocers", "Schipperskwartier Hotels", "Linnenkast Textiles",
    "Campagne Relocation Services", "Het Goede Gereedschap", "Kampeerhoek Outdoor", "Warmhuis Furnishings",
    "Appelhof Schools Catering", "Rietland Resorts", "Stoomkade Coffee", "Bakkerij Vroegop", "Kamer 12 Apartments",
    "Veldkeuken Festivals", "Moestuin Academie", "Porselein & Draad", "Kelderman Wine Bars", "Waterkant Sailing Club",
    "Zaaigoed Seeds", "Torenkamer Gifts",
];
pub(super) const SUPPLIERS: [(&str, &str, &str); 24] = [
    ("Emaljverk Norrbacka", "Norrbacka", "SE"), ("Ferrolindo Casting", "Vale do Ferro", "PT"),
    ("Keramik Ottersee", "Ottersee", "DE"), ("Holzmanufaktur Tannried", "Tannried", "DE"),
    ("Coltellerie Bramasole", "Bramasole", "IT"), ("Tuilerie Saint-Orme", "Saint-Orme", "FR"),
    ("Linnea Textile Works", "Grimsholm", "SE"), ("Glashütte Moosbruck", "Moosbruck", "AT"),
    ("Hortimex Gardenware", "Oosterlinde", "NL"), ("Pinhal Tools", "Pinhal Alto", "PT"),
    ("Velamar Outdoor", "Castelmar", "ES"), ("Drukkerij & Papier Elsbeek", "Elsbeek", "BE"),
    ("Lumenhof Lighting", "Steinfurth", "DE"), ("Kopparslagarna", "Fallhammar", "SE"),
    ("Rattania Weavers", "Villa Rota", "ES"), ("Bürstenmacher Kranich", "Kranichfeld-Süd", "DE"),
    ("Savonnerie Aubrac Clair", "Clairmont-le-Haut", "FR"), ("Stoneyard Mosse", "Mosse", "IT"),
    ("Wollweberei Hochalm", "Hochalm", "AT"), ("Baltwood Furnishing", "Puusaar", "EE"),
    ("Ironvale Hardware", "Ironvale", "IE"),
    // Bad standing, in this order: inactive, blocked, poor credit rating.
    ("Metalurgica Sertado", "Sertado", "PT"), ("Plastform Dessau-Ost", "Ostwerk", "DE"), ("Cestaria Lombas", "Lombas", "ES"),
];

/// Category, brand, noun, three variants, net retail price in cents of the first variant, weight in grams.
pub(super) type Noun = (&'static str, &'static str, &'static str, [&'static str; 3], i64, i64);
pub(super) const NOUNS: [Noun; 40] = [
    ("kitchen", "Hearthrow", "Enamel kettle", ["1.2 l cream", "1.2 l slate", "1.8 l slate"], 3495, 1100),
    ("kitchen", "Hearthrow", "Cast iron skillet", ["20 cm", "24 cm", "28 cm"], 2995, 2200),
    ("kitchen", "Hearthrow", "Casserole", ["2.5 l", "4 l", "6 l"], 6995, 4200),
    ("kitchen", "Brammel", "Pepper mill", ["beech 18 cm", "walnut 18 cm", "walnut 25 cm"], 2450, 350),
    ("kitchen", "Brammel", "Bread tin", ["500 g", "750 g", "1 kg"], 1495, 600),
    ("kitchen", "Brammel", "Chopping board", ["oak small", "oak medium", "oak large"], 2795, 1500),
    ("kitchen", "Larkspoon", "Paring knife set", ["3 pieces", "5 pieces", "7 pieces"], 3250, 420),
    ("kitchen", "Larkspoon", "Chef's knife", ["16 cm", "20 cm", "24 cm"], 4995, 310),
    ("tableware", "Ottersee", "Stoneware bowl", ["set of 4 sand", "set of 4 moss", "set of 6 moss"], 3995, 2600),
    ("tableware", "Ottersee", "Dinner plate", ["set of 4 sand", "set of 4 moss", "set of 6 moss"], 4495, 3200),
    ("tableware", "Ottersee", "Espresso cup", ["set of 2", "set of 4", "set of 6"], 1995, 500),
    ("tableware", "Moosbruck", "Tumbler", ["set of 4 clear", "set of 4 smoke", "set of 6 clear"], 2295, 1200),
    ("tableware", "Moosbruck", "Carafe", ["0.75 l", "1 l", "1.5 l"], 2695, 900),
    ("tableware", "Linnea", "Linen napkin", ["set of 4 chalk", "set of 4 indigo", "set of 8 chalk"], 2895, 300),
    ("tableware", "Linnea", "Table runner", ["chalk", "indigo", "ochre"], 3495, 350),
    ("garden", "Tillmark", "Hand trowel", ["ash", "ash long", "stainless"], 1695, 380),
    ("garden", "Tillmark", "Secateurs", ["bypass 19 cm", "bypass 22 cm", "anvil 20 cm"], 3195, 260),
    ("garden", "Tillmark", "Watering can", ["5 l zinc", "9 l zinc", "9 l green"], 2995, 1300),
    ("garden", "Tillmark", "Garden fork", ["digging", "border", "long"], 4495, 2100),
    ("garden", "Terraquin", "Terracotta pot", ["14 cm set of 6", "20 cm set of 3", "30 cm"], 2495, 3900),
    ("garden", "Terraquin", "Seed tray", ["set of 5", "set of 10", "with lid"], 1295, 700),
    ("garden", "Terraquin", "Raised bed", ["80 x 40", "120 x 60", "120 x 80"], 8995, 9500),
    ("outdoor", "Velamar", "Camp stove", ["single", "double", "folding"], 5995, 1900),
    ("outdoor", "Velamar", "Fire bowl", ["50 cm", "60 cm", "80 cm"], 12995, 12000),
    ("outdoor", "Velamar", "Picnic blanket", ["140 x 140", "140 x 200", "200 x 200"], 3695, 1000),
    ("outdoor", "Velamar", "Storm lantern", ["small", "medium", "large"], 2795, 800),
    ("workshop", "Ironvale", "Claw hammer", ["450 g", "570 g", "680 g"], 2595, 780),
    ("workshop", "Ironvale", "Chisel set", ["3 pieces", "4 pieces", "6 pieces"], 4295, 900),
    ("workshop", "Ironvale", "Screwdriver set", ["6 pieces", "10 pieces", "18 pieces"], 3395, 1100),
    ("workshop", "Ironvale", "Tool roll", ["canvas", "leather", "leather large"], 3995, 600),
    ("lighting", "Lumenhof", "Desk lamp", ["brass", "black", "white"], 7495, 1800),
    ("lighting", "Lumenhof", "Pendant shade", ["25 cm", "35 cm", "45 cm"], 6295, 1400),
    ("lighting", "Lumenhof", "String lights", ["5 m", "10 m", "20 m"], 2195, 650),
    ("storage", "Rattania", "Log basket", ["small", "medium", "large"], 4495, 1700),
    ("storage", "Rattania", "Laundry hamper", ["natural", "grey", "natural lid"], 5295, 2300),
    ("storage", "Baltwood", "Shoe rack", ["2 tiers", "3 tiers", "4 tiers"], 4995, 4200),
    ("storage", "Baltwood", "Coat stand", ["oak", "black", "white"], 7995, 5600),
    ("care", "Kranich", "Broom", ["indoor", "outdoor", "hearth"], 1895, 700),
    ("care", "Aubrac", "Olive soap", ["3 bars", "6 bars", "12 bars"], 995, 330),
    ("care", "Hochalm", "Wool throw", ["130 x 180 grey", "130 x 180 rust", "150 x 220 grey"], 8495, 1250),
];
