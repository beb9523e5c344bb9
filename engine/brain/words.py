"""What the engine itself understands, per language: yes, no, stop, back, hello, thanks, and the little words."""

from __future__ import annotations

_YES = {
    "en": "yes|y|yeah|yep|yup|sure|ok|okay|correct|right|exactly|absolutely|definitely|certainly|please do|go ahead|"
          "of course|sounds good|that is right|that's right|that is correct|that's correct|i agree|i confirm|do it|"
          "perfect|that's perfect|that is perfect|that works|sounds great|that sounds good|that sounds great|ye|yea|"
          "that would be great|looks good|no problem|no worries|why not|go for it|let's do it|"
          "let's do that|fine|all right|alright|that's fine|that is fine|that's great|that is great|works for me",
    "fr": "oui|ouais|d'accord|bien sûr|exactement|c'est ça|volontiers|allez-y|tout à fait|ok|okay|parfait|"
          "c'est bon|ça marche|entendu",
    "de": "ja|jawohl|genau|richtig|stimmt|gerne|natürlich|in ordnung|einverstanden|klar|ok|okay|"
          "das stimmt|passt|passt so|das passt|perfekt|sehr gerne|jo",
    "es": "sí|si|claro|vale|de acuerdo|correcto|exacto|por supuesto|adelante|ok|okay|perfecto|"
          "está bien|así es|eso es",
    "it": "sì|si|certo|va bene|d'accordo|esatto|giusto|ok|okay|perfetto|confermo",
    "nl": "ja|jazeker|klopt|graag|prima|akkoord|juist|ok|okay|goed|dat klopt|in orde",
    "pt": "sim|claro|certo|está bem|isso mesmo|exato|com certeza|ok|okay|perfeito|confirmo",
}
_NO = {
    "en": "no|n|nope|nah|not really|no thanks|no thank you|don't|do not|incorrect|wrong|that is wrong|that's wrong|"
          "not correct|please don't|never|"
          "it's wrong|it is wrong|this is wrong|that's not right|that is not right|that isn't right|not right|"
          "not quite",
    "fr": "non|pas du tout|non merci|c'est faux",
    "de": "nein|nö|nicht|falsch|nein danke|das stimmt nicht|das ist falsch|das passt nicht",
    "es": "no|incorrecto|no gracias|para nada", "it": "no|sbagliato|no grazie", "nl": "nee|niet|onjuist|nee bedankt",
    "pt": "não|nao|errado|não obrigado",
}
_CANCEL = {
    "en": "cancel|stop|forget it|forget about it|never mind|nevermind|abort|quit|exit|i changed my mind|"
          "cancel that|cancel this|cancel it|stop this|leave it|drop it",
    "fr": "annuler|annulez|laissez tomber|arrêtez|stop|oubliez|j'ai changé d'avis",
    "de": "abbrechen|stopp|stop|vergiss es|vergessen sie es|lass es|doch nicht",
    "es": "cancelar|cancela|olvídalo|déjalo|para|he cambiado de idea",
    "it": "annulla|annullare|lascia stare|lascia perdere|ho cambiato idea",
    "nl": "annuleren|stop|laat maar|vergeet het",
    "pt": "cancelar|cancela|esqueça|deixa pra lá|pare",
}
_BACK = {
    "en": "go back|back|previous|previous step|one step back|step back|take me back|let me change that|"
          "can i change that|i made a mistake",
    "fr": "retour|revenir|étape précédente|revenez en arrière", "de": "zurück|einen schritt zurück|vorheriger schritt",
    "es": "atrás|volver|paso anterior", "it": "indietro|torna indietro|passo precedente",
    "nl": "terug|ga terug|vorige stap", "pt": "voltar|volta|passo anterior",
}
_CORRECTION = {
    "en": "actually|i meant|i mean|instead|correction|change|sorry|rather|make it|should be|not|wrong|wait|update|oops",
    "fr": "en fait|plutôt|je voulais dire|correction|changer|pardon|finalement",
    "de": "eigentlich|ich meinte|stattdessen|korrektur|ändern|doch|lieber",
    "es": "en realidad|quise decir|mejor|corrección|cambiar|perdón", "it": "in realtà|intendevo|invece|cambiare|anzi",
    "nl": "eigenlijk|ik bedoel|liever|wijzigen|toch", "pt": "na verdade|quis dizer|em vez|mudar|corrigir",
}
_HELLO = {
    "en": "hi|hello|hey|hi there|hello there|good morning|good afternoon|good evening|greetings|howdy|hiya",
    "fr": "bonjour|bonsoir|salut|coucou", "de": "hallo|guten tag|guten morgen|guten abend|moin|servus|grüß gott",
    "es": "hola|buenos días|buenas tardes|buenas noches|buenas", "it": "ciao|buongiorno|buonasera|salve",
    "nl": "hallo|hoi|goedemorgen|goedemiddag|goedenavond|goedendag", "pt": "olá|oi|bom dia|boa tarde|boa noite",
}


_BUT = {
    "en": "but|not|don't|dont|isn't|wrong", "fr": "mais|pas", "de": "aber|nicht|kein|keine|falsch", "es": "pero|no",
    "it": "ma|non", "nl": "maar|niet|geen", "pt": "mas|não|nao",
}
WHY = {"en": "why", "fr": "pourquoi", "de": "warum", "es": "qué", "it": "perché", "nl": "waarom", "pt": "porque"}
"""`yes, why not` is a yes."""
_OPENING = {
    "en": "actually|well|oh|um|uh|uhm|hm|hmm|er|ah", "fr": "eh|ben|bah|oh|ah|euh|hm", "de": "ach|oh|äh|hm|ah|also",
    "es": "bueno|pues|oh|ah|eh|hm", "it": "beh|bè|allora|oh|ah|eh|hm", "nl": "nou|oh|ah|eh|hm|ach",
    "pt": "bem|bom|oh|ah|eh|hm",
}
_UNSURE = {
    "en": "no idea|no clue|don't know|do not know|not sure|i don't know|i do not know|not certain|no matter",
    "fr": "pas sûr|pas sûre", "de": "nicht sicher|nicht genau", "es": "no sé|no lo sé|no se|no estoy seguro|"
    "no estoy segura|no tengo ni idea|ni idea", "it": "non so|non lo so|non sono sicuro|non sono sicura",
    "nl": "niet zeker|niet precies", "pt": "não sei|nao sei|não tenho certeza|não faço ideia",
}
_THANKS = {
    "en": "thanks|thank|thx|cheers|ty", "fr": "merci", "de": "danke|dankeschön|dank", "es": "gracias",
    "it": "grazie", "nl": "bedankt|dank|dankjewel|dankuwel", "pt": "obrigado|obrigada",
}
_BESIDE_THANKS = {
    "en": "you|very|much|so|a|lot|many|for|your|the|help|all|ok|okay|great|perfect|that|that's|is|was|it|then|again|"
          "everything|lovely|wonderful|nice|cool|alright|oh|kindly|good|super|now|indeed|appreciated",
    "fr": "beaucoup|bien|à|vous|toi|mille|pour|votre|aide|tout|c'est|parfait|super|ok|d'accord|de|l'aide",
    "de": "schön|sehr|vielen|ihnen|dir|euch|für|ihre|die|hilfe|alles|das|ist|war's|perfekt|super|gut|ok|okay|besten|"
          "na|dann|herzlichen|recht",
    "es": "muchas|mil|por|su|tu|la|ayuda|todo|eso|es|perfecto|muy|amable|ok|vale|bien",
    "it": "mille|tante|molte|per|l'aiuto|il|suo|aiuto|tutto|perfetto|ok|bene|è",
    "nl": "je|u|wel|heel|erg|zeer|voor|de|uw|je|hulp|alles|perfect|ok|hartelijk|hoor|prima",
    "pt": "muito|pela|por|sua|ajuda|tudo|é|isso|perfeito|ok|bem",
}
_BYE = {
    "en": "bye|goodbye|bye bye|good bye|see you|see you later|see you then|see you soon|good night|have a nice day|"
          "have a good day",
    "fr": "au revoir|à bientôt|bonne journée|bonne soirée|bonne nuit|adieu",
    "de": "tschüss|tschüß|tschüs|auf wiedersehen|wiedersehen|bis dann|bis bald|bis später|gute nacht|schönen tag noch|"
          "schönen tag|schönen abend",
    "es": "adiós|adios|hasta luego|hasta pronto|hasta mañana|que tenga un buen día",
    "it": "arrivederci|a presto|addio|buonanotte|buona giornata", "nl": "tot ziens|doei|dag hoor|fijne dag|tot dan",
    "pt": "tchau|adeus|até logo|até mais|até breve|tenha um bom dia",
}
_PAUSE = {
    "en": "not now|later|maybe later|let us do that later|let's do that later|pause|hold on|not right now|another time",
    "fr": "pas maintenant|plus tard|une autre fois|pause", "de": "nicht jetzt|später|ein andermal|pause",
    "es": "ahora no|más tarde|luego|en otro momento|pausa", "it": "non ora|più tardi|dopo|un'altra volta|pausa",
    "nl": "niet nu|later|een andere keer|pauze", "pt": "agora não|mais tarde|depois|outra hora|pausa",
}
_RESUME = {
    "en": "continue|go on|resume|let us go on|let's go on|let's continue|let us continue|where were we|carry on",
    "fr": "continuez|continuons|reprenons|où en étions-nous", "de": "weiter|weitermachen|fortsetzen|mach weiter|"
    "wo waren wir", "es": "continuar|sigamos|continuemos|dónde estábamos", "it": "continua|continuiamo|riprendiamo",
    "nl": "verder|ga verder|doorgaan|waar waren we", "pt": "continuar|continue|vamos continuar|onde estávamos",
}


def _sets(table: dict[str, str]) -> dict[str, frozenset[str]]:
    return {language: frozenset(words.split("|")) for language, words in table.items()}


FIRST = frozenset((
    "first", "former", "1", "1st", "erste", "ersten", "erstere", "premier", "première", "primero", "primera",
    "primo", "prima", "eerste", "primeiro", "primeira"))
SECOND = frozenset((
    "second", "latter", "2", "2nd", "other", "zweite", "zweiten", "letztere", "andere", "deuxième", "seconde",
    "autre", "segundo", "segunda", "otro", "otra", "secondo", "seconda", "altro", "altra", "tweede", "outro", "outra"))
"""By which the first and the second of two are chosen, in any language."""

YES, NO, BUT, UNSURE, CANCEL, BACK, CORRECTION, HELLO, PAUSE, RESUME, THANKS, BESIDE_THANKS, BYE, OPENING = map(
    _sets, (_YES, _NO, _BUT, _UNSURE, _CANCEL, _BACK, _CORRECTION, _HELLO, _PAUSE, _RESUME, _THANKS, _BESIDE_THANKS,
            _BYE, _OPENING))

STOPWORDS = _sets({
    "en": "the|a|an|is|are|was|were|am|be|been|being|i|you|he|she|it|we|they|my|your|his|her|its|our|their|me|him|"
          "us|them|to|of|and|in|for|on|at|by|with|from|about|into|over|after|before|until|or|but|if|so|as|than|"
          "then|that|this|these|those|there|here|what|when|where|which|who|whose|why|how|do|does|did|done|can|"
          "could|will|would|shall|should|may|might|must|have|has|had|not|no|any|some|all|more|much|many|please|"
          "want|like|need|get|got|let|just|also|very|too|only|now|don't|can't|won't|doesn't|didn't|isn't|aren't|"
          "i'm|i'd|i've|i'll|it's|what's|where's|that's|there's|you're|we're|let's",
    "fr": "le|la|les|un|une|des|du|de|au|aux|et|ou|où|mais|donc|car|ni|est|sont|suis|es|êtes|sommes|était|être|je|"
          "tu|il|elle|on|nous|vous|ils|elles|me|te|se|moi|toi|lui|leur|leurs|mon|ma|mes|ton|ta|tes|son|sa|ses|"
          "notre|nos|votre|vos|ce|cet|cette|ces|ça|cela|en|y|dans|sur|sous|avec|sans|pour|par|chez|vers|entre|"
          "jusqu'à|depuis|avant|après|que|qui|quoi|quel|quelle|quels|quelles|quand|comment|pourquoi|combien|est-ce|"
          "qu'est-ce|c'est|j'ai|j'aimerais|n'est|d'un|d'une|s'il|qu'il|ai|as|a|ont|avez|avons|peux|peut|pouvez|"
          "puis-je|pouvez-vous|avez-vous|y-a-t-il|faut|veux|veut|voulez|voudrais|voudrait|aimerais|ne|pas|plus|"
          "rien|jamais|aussi|très|bien|encore|déjà|merci|si|comme|tout|tous|toute",
    "de": "der|die|das|den|dem|des|ein|eine|einen|einem|einer|eines|kein|keine|keinen|ist|sind|waren|bin|bist|"
          "seid|sein|ich|du|er|sie|es|wir|ihr|mich|dich|ihn|uns|euch|mir|dir|ihm|ihnen|sich|mein|meine|meinen|"
          "meinem|meiner|dein|deine|deinen|ihre|ihren|ihrem|euer|eure|euren|eurem|unser|unsere|unseren|zu|zum|zur|"
          "und|oder|aber|sondern|in|im|ins|für|von|vom|mit|ohne|bei|beim|nach|aus|auf|an|am|um|über|unter|vor|"
          "hinter|zwischen|bis|seit|durch|gegen|was|wer|wen|wem|wo|wohin|woher|wann|warum|wieso|wie|viel|viele|"
          "welche|welcher|welches|welchen|wieviel|kann|kannst|können|könnte|könnten|könnt|könntet|habe|hast|hat|"
          "haben|habt|hatte|hätte|hätten|werde|wird|werden|wirst|würde|würden|muss|müssen|darf|dürfen|soll|sollen|"
          "sollte|will|wollen|wollt|möchte|möchten|mag|bitte|danke|nicht|nichts|noch|nur|auch|schon|sehr|mal|denn|"
          "dann|da|dort|hier|gibt|geht|wenn|weil|dass|ob|als|so|doch|gerne|dieser|diese|dieses|etwas|alle|"
          "alles|mehr",
    "es": "el|la|los|las|lo|un|una|unos|unas|y|e|o|u|pero|ni|es|son|soy|eres|somos|era|está|están|estoy|estás|"
          "estar|ser|yo|tú|usted|ustedes|él|ella|nosotros|ellos|ellas|me|te|se|le|les|nos|mi|mis|tu|tus|su|sus|"
          "nuestro|nuestra|mío|este|esta|esto|estos|estas|ese|esa|eso|esos|a|al|de|del|en|con|sin|por|para|sobre|"
          "entre|hasta|desde|hacia|que|qué|quién|quiénes|cuál|cuáles|cuándo|cuánto|cuánta|cuántos|cuántas|cómo|"
          "dónde|adónde|porque|si|no|muy|más|menos|también|tampoco|ya|aún|hay|he|ha|has|han|tengo|tiene|tienen|"
          "tienes|puedo|puede|pueden|puedes|podría|podrían|quiero|quiere|quieren|quisiera|querría|necesito|hace|"
          "hacen|hacer|favor|gracias|algo|nada|todo|todos",
    "it": "il|lo|la|i|gli|le|un|uno|una|e|ed|o|ma|se|è|sono|sei|siamo|siete|era|essere|io|tu|lui|lei|noi|voi|loro|"
          "mi|ti|si|ci|vi|me|te|mio|mia|miei|mie|tuo|tua|suo|sua|nostro|nostra|vostro|vostra|vostri|vostre|questo|"
          "questa|questi|queste|quello|quella|di|del|dello|della|dei|degli|delle|a|al|allo|alla|ai|agli|alle|da|"
          "dal|dalla|in|nel|nella|nei|con|su|sul|sulla|per|tra|fra|senza|fino|che|chi|cosa|cos'è|quale|quali|"
          "quando|quanto|quanta|quanti|quante|come|dove|dov'è|c'è|perché|ho|hai|ha|abbiamo|avete|hanno|posso|può|"
          "puoi|possiamo|potete|possono|potrei|vorrei|vuole|voglio|vogliamo|devo|deve|fa|fare|non|più|anche|molto|"
          "già|ancora|solo|grazie|tutto|tutti|niente|qualcosa",
    "nl": "de|het|een|en|of|maar|want|is|zijn|ben|bent|was|waren|wordt|worden|ik|jij|je|u|hij|zij|ze|wij|we|jullie|"
          "me|mij|jou|hem|haar|ons|hun|mijn|jouw|uw|onze|dit|dat|deze|die|er|daar|hier|in|op|aan|van|voor|met|"
          "zonder|bij|naar|uit|om|over|onder|tussen|tot|te|ten|ter|tegen|sinds|na|wat|wie|welke|welk|waar|"
          "waarom|wanneer|hoe|hoeveel|kan|kunt|kunnen|kun|zou|zouden|zal|zullen|heb|hebt|heeft|hebben|had|wil|wilt|"
          "willen|graag|moet|moeten|mag|mogen|niet|niets|geen|nog|ook|al|wel|heel|erg|zo|dan|als|omdat|alstublieft|"
          "alsjeblieft|bedankt|dank|iets|alles|veel|meer|doen|gaat",
    "pt": "o|a|os|as|um|uma|uns|umas|e|ou|mas|nem|é|são|sou|és|somos|era|está|estão|estou|estar|ser|eu|tu|você|"
          "vocês|ele|ela|nós|eles|elas|me|te|se|lhe|nos|meu|minha|meus|minhas|teu|tua|seu|sua|seus|suas|nosso|"
          "nossa|este|esta|isto|esse|essa|isso|aquele|aquela|ao|à|aos|às|de|do|da|dos|das|em|no|na|nas|num|numa|"
          "com|sem|por|pelo|pela|para|sobre|entre|até|desde|que|quê|quem|qual|quais|quando|quanto|quanta|quantos|"
          "quantas|como|onde|porque|porquê|não|muito|mais|menos|também|já|ainda|há|hei|tem|têm|tenho|temos|posso|"
          "pode|podem|podemos|poderia|quero|quer|querem|queria|gostaria|preciso|faz|fazer|favor|obrigado|obrigada|"
          "algo|nada|tudo|todos",
})
"""Little words by which a language is told, more of them than would be needed: a message has few."""
