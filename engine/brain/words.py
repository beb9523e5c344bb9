"""What the engine itself understands and says, per language: yes, no, stop, back, hello, and its few own sentences.

An agent's own texts come first everywhere; these stand in where the author wrote none.
"""

from __future__ import annotations

_YES = {
    "en": "yes|yeah|yep|yup|sure|ok|okay|correct|right|exactly|absolutely|definitely|certainly|please do|go ahead|"
          "of course|sounds good|that is right|that's right|that is correct|that's correct|i agree|i confirm|do it|"
          "perfect|that's perfect|that is perfect|that works|sounds great|that sounds good|that sounds great|ye|yea|"
          "that would be great|looks good|that's fine|that is fine|that's great|that is great|works for me",
    "fr": "oui|ouais|d'accord|bien sûr|exactement|c'est ça|volontiers|allez-y|tout à fait",
    "de": "ja|jawohl|genau|richtig|stimmt|gerne|natürlich|in ordnung|einverstanden|klar",
    "es": "sí|si|claro|vale|de acuerdo|correcto|exacto|por supuesto|adelante",
    "it": "sì|si|certo|va bene|d'accordo|esatto|giusto",
    "nl": "ja|jazeker|klopt|graag|prima|akkoord|juist",
    "pt": "sim|claro|certo|está bem|isso mesmo|exato|com certeza",
}
_NO = {
    "en": "no|nope|nah|not really|no thanks|no thank you|don't|do not|incorrect|wrong|that is wrong|that's wrong|"
          "not correct|please don't|never",
    "fr": "non|pas du tout|non merci|c'est faux", "de": "nein|nö|nicht|falsch|nein danke",
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
    "en": "actually|i meant|i mean|instead|correction|change|sorry|rather|make it|not|wrong|wait|update|oops",
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

YES, NO, CANCEL, BACK, CORRECTION, HELLO, PAUSE, RESUME = map(
    _sets, (_YES, _NO, _CANCEL, _BACK, _CORRECTION, _HELLO, _PAUSE, _RESUME))

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

_SAYINGS = {
    "en": {"ask": "Could you tell me your {field}?", "confirm": "Shall I go ahead with this?",
           "invalid": "I could not use that as your {field}.", "cancelled": "All right, I have stopped that.",
           "failed": "I could not do that just now.", "unknown": "I cannot tell whether that went through.",
           "person": "Would you like me to pass you on to a person?", "declined": "All right, I will not do that.",
           "later": "One moment: I read your last message first.",
           "noted": "Thank you, I have noted that.",
           "which": "Do you mean {first} or {second}?",
           "paused": "All right, we can go on with that later.",
           "blocked": "I cannot do that without your {field}.",
           "corrected": "I have changed that."},
    "fr": {"ask": "Pouvez-vous m'indiquer : {field} ?", "confirm": "Dois-je continuer ?",
           "invalid": "Je n'ai pas pu utiliser cette réponse pour : {field}.", "cancelled": "Très bien, j'ai arrêté.",
           "failed": "Je n'ai pas pu le faire pour l'instant.", "unknown": "Je ne sais pas si cela a abouti.",
           "person": "Voulez-vous parler à une personne ?", "declined": "Très bien, je ne le ferai pas.",
           "later": "Un instant : je lis d'abord votre dernier message.",
           "noted": "Merci, c'est noté.",
           "which": "Voulez-vous parler de {first} ou de {second} ?",
           "paused": "Très bien, nous pourrons reprendre plus tard.",
           "blocked": "Je ne peux pas le faire sans : {field}.",
           "corrected": "C'est corrigé."},
    "de": {"ask": "Können Sie mir das bitte nennen: {field}?", "confirm": "Soll ich das ausführen?",
           "invalid": "Damit konnte ich nichts anfangen: {field}.", "cancelled": "In Ordnung, ich habe abgebrochen.",
           "failed": "Das ging gerade nicht.", "unknown": "Ich weiß nicht, ob das durchgegangen ist.",
           "person": "Möchten Sie mit einem Menschen sprechen?", "declined": "In Ordnung, ich lasse es.",
           "later": "Einen Moment: Ich lese erst Ihre letzte Nachricht.",
           "noted": "Danke, das habe ich notiert.",
           "which": "Meinen Sie {first} oder {second}?",
           "paused": "In Ordnung, damit können wir später weitermachen.",
           "blocked": "Das geht nicht ohne: {field}.",
           "corrected": "Das habe ich geändert."},
    "es": {"ask": "¿Puede indicarme su {field}?", "confirm": "¿Quiere que continúe?",
           "invalid": "No he podido usar eso como {field}.", "cancelled": "De acuerdo, lo he detenido.",
           "failed": "No he podido hacerlo ahora.", "unknown": "No puedo saber si se ha realizado.",
           "person": "¿Quiere hablar con una persona?", "declined": "De acuerdo, no lo haré.",
           "later": "Un momento: leo primero su último mensaje.",
           "noted": "Gracias, lo he anotado.",
           "which": "¿Se refiere a {first} o a {second}?",
           "paused": "De acuerdo, podemos seguir más tarde.",
           "blocked": "No puedo hacerlo sin su {field}.",
           "corrected": "Lo he cambiado."},
    "it": {"ask": "Può indicarmi: {field}?", "confirm": "Devo procedere?", "invalid": "Non posso usarlo come {field}.",
           "cancelled": "Va bene, ho interrotto.", "failed": "Ora non è stato possibile.",
           "unknown": "Non so dire se sia andato a buon fine.", "person": "Vuole parlare con una persona?",
           "declined": "Va bene, non lo farò.", "later": "Un momento: leggo prima il suo ultimo messaggio.",
           "noted": "Grazie, l'ho annotato.",
           "which": "Intende {first} o {second}?",
           "paused": "Va bene, possiamo continuare più tardi.",
           "blocked": "Non posso farlo senza: {field}.",
           "corrected": "L'ho cambiato."},
    "nl": {"ask": "Kunt u mij dit geven: {field}?", "confirm": "Zal ik dit doen?",
           "invalid": "Dat kon ik niet gebruiken als {field}.", "cancelled": "Goed, ik ben gestopt.",
           "failed": "Dat lukte nu niet.", "unknown": "Ik weet niet of dat gelukt is.",
           "person": "Wilt u met een medewerker spreken?", "declined": "Goed, ik doe het niet.",
           "later": "Een moment: ik lees eerst uw laatste bericht.",
           "noted": "Dank u, dat heb ik genoteerd.",
           "which": "Bedoelt u {first} of {second}?",
           "paused": "Goed, we kunnen later verdergaan.",
           "blocked": "Dat kan ik niet zonder uw {field}.",
           "corrected": "Dat heb ik gewijzigd."},
    "pt": {"ask": "Pode indicar: {field}?", "confirm": "Devo continuar?", "invalid": "Não pude usar isso como {field}.",
           "cancelled": "Certo, parei.", "failed": "Não foi possível agora.", "unknown": "Não sei se foi concluído.",
           "person": "Quer falar com uma pessoa?", "declined": "Certo, não o farei.",
           "later": "Um momento: primeiro leio a sua última mensagem.",
           "noted": "Obrigado, está anotado.",
           "which": "Refere-se a {first} ou a {second}?",
           "paused": "Certo, podemos continuar mais tarde.",
           "blocked": "Não posso fazer isso sem: {field}.",
           "corrected": "Já alterei."},
}

LAST_REFUSALS = ("I cannot answer that.", "This cannot be answered here.")
"""Sent when an agent's own refusal breaks one of its hard rules; each is checked like any other reply."""


def saying(name: str, language: str, **values: str) -> str:
    """One of the engine's own sentences; English where a language has none."""
    return _SAYINGS.get(language[:2], _SAYINGS["en"])[name].format(**values)
