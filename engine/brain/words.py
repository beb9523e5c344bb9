"""What the engine itself understands and says, per language: yes, no, stop, back, hello, and its few own sentences.

An agent's own texts come first everywhere; these stand in where the author wrote none.
"""

from __future__ import annotations

_YES = {
    "en": "yes|yeah|yep|yup|sure|ok|okay|correct|right|exactly|absolutely|definitely|certainly|please do|go ahead|"
          "of course|sounds good|that is right|that's right|that is correct|that's correct|i agree|i confirm|do it",
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


def _sets(table: dict[str, str]) -> dict[str, frozenset[str]]:
    return {language: frozenset(words.split("|")) for language, words in table.items()}


YES, NO, CANCEL, BACK, CORRECTION, HELLO = map(_sets, (_YES, _NO, _CANCEL, _BACK, _CORRECTION, _HELLO))

STOPWORDS = _sets({
    "en": "the|a|an|is|are|i|you|my|to|of|and|in|for|it|what|how|do|can|with|on|have|please|want|would|like|"
          "this|that|me",
    "fr": "le|la|les|un|une|des|est|je|vous|mon|ma|de|du|et|en|pour|que|quel|comment|avec|sur|pas|ne|suis|voudrais|mes",
    "de": "der|die|das|ein|eine|ist|ich|sie|mein|meine|zu|und|in|für|es|was|wie|kann|mit|auf|habe|bitte|nicht|"
          "möchte|den",
    "es": "el|la|los|las|un|una|es|yo|mi|de|y|en|para|que|qué|cómo|puedo|con|por|quiero|quisiera|tengo|mis|del|está",
    "it": "il|lo|la|gli|un|una|è|io|mio|mia|di|e|in|per|che|come|posso|con|non|vorrei|ho|sono|del|della|cosa",
    "nl": "de|het|een|is|ik|u|mijn|te|van|en|in|voor|wat|hoe|kan|met|op|heb|niet|graag|wil|zijn|dat|deze",
    "pt": "o|a|os|as|um|uma|é|eu|meu|minha|de|e|em|para|que|como|posso|com|não|quero|gostaria|tenho|do|da|está",
})

_SAYINGS = {
    "en": {"ask": "Could you tell me your {field}?", "confirm": "Shall I go ahead with this?",
           "invalid": "I could not use that as your {field}.", "cancelled": "All right, I have stopped that.",
           "failed": "I could not do that just now.", "unknown": "I cannot tell whether that went through.",
           "person": "Would you like me to pass you on to a person?", "declined": "All right, I will not do that.",
           "later": "One moment: I read your last message first.",
           "noted": "Thank you, I have noted that.",
           "corrected": "I have changed that."},
    "fr": {"ask": "Pouvez-vous m'indiquer : {field} ?", "confirm": "Dois-je continuer ?",
           "invalid": "Je n'ai pas pu utiliser cette réponse pour : {field}.", "cancelled": "Très bien, j'ai arrêté.",
           "failed": "Je n'ai pas pu le faire pour l'instant.", "unknown": "Je ne sais pas si cela a abouti.",
           "person": "Voulez-vous parler à une personne ?", "declined": "Très bien, je ne le ferai pas.",
           "later": "Un instant : je lis d'abord votre dernier message.",
           "noted": "Merci, c'est noté.",
           "corrected": "C'est corrigé."},
    "de": {"ask": "Können Sie mir das bitte nennen: {field}?", "confirm": "Soll ich das ausführen?",
           "invalid": "Damit konnte ich nichts anfangen: {field}.", "cancelled": "In Ordnung, ich habe abgebrochen.",
           "failed": "Das ging gerade nicht.", "unknown": "Ich weiß nicht, ob das durchgegangen ist.",
           "person": "Möchten Sie mit einem Menschen sprechen?", "declined": "In Ordnung, ich lasse es.",
           "later": "Einen Moment: Ich lese erst Ihre letzte Nachricht.",
           "noted": "Danke, das habe ich notiert.",
           "corrected": "Das habe ich geändert."},
    "es": {"ask": "¿Puede indicarme su {field}?", "confirm": "¿Quiere que continúe?",
           "invalid": "No he podido usar eso como {field}.", "cancelled": "De acuerdo, lo he detenido.",
           "failed": "No he podido hacerlo ahora.", "unknown": "No puedo saber si se ha realizado.",
           "person": "¿Quiere hablar con una persona?", "declined": "De acuerdo, no lo haré.",
           "later": "Un momento: leo primero su último mensaje.",
           "noted": "Gracias, lo he anotado.",
           "corrected": "Lo he cambiado."},
    "it": {"ask": "Può indicarmi: {field}?", "confirm": "Devo procedere?", "invalid": "Non posso usarlo come {field}.",
           "cancelled": "Va bene, ho interrotto.", "failed": "Ora non è stato possibile.",
           "unknown": "Non so dire se sia andato a buon fine.", "person": "Vuole parlare con una persona?",
           "declined": "Va bene, non lo farò.", "later": "Un momento: leggo prima il suo ultimo messaggio.",
           "noted": "Grazie, l'ho annotato.",
           "corrected": "L'ho cambiato."},
    "nl": {"ask": "Kunt u mij dit geven: {field}?", "confirm": "Zal ik dit doen?",
           "invalid": "Dat kon ik niet gebruiken als {field}.", "cancelled": "Goed, ik ben gestopt.",
           "failed": "Dat lukte nu niet.", "unknown": "Ik weet niet of dat gelukt is.",
           "person": "Wilt u met een medewerker spreken?", "declined": "Goed, ik doe het niet.",
           "later": "Een moment: ik lees eerst uw laatste bericht.",
           "noted": "Dank u, dat heb ik genoteerd.",
           "corrected": "Dat heb ik gewijzigd."},
    "pt": {"ask": "Pode indicar: {field}?", "confirm": "Devo continuar?", "invalid": "Não pude usar isso como {field}.",
           "cancelled": "Certo, parei.", "failed": "Não foi possível agora.", "unknown": "Não sei se foi concluído.",
           "person": "Quer falar com uma pessoa?", "declined": "Certo, não o farei.",
           "later": "Um momento: primeiro leio a sua última mensagem.",
           "noted": "Obrigado, está anotado.",
           "corrected": "Já alterei."},
}

LAST_REFUSALS = ("I cannot answer that.", "This cannot be answered here.")
"""Sent when an agent's own refusal breaks one of its hard rules; each is checked like any other reply."""


def saying(name: str, language: str, **values: str) -> str:
    """One of the engine's own sentences; English where a language has none."""
    return _SAYINGS.get(language[:2], _SAYINGS["en"])[name].format(**values)
