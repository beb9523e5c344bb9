"""Why an answer cannot be used, for the person who gave it: what is taken instead, never what was said."""

from __future__ import annotations

from ruche.engine.brain.fields import CompiledField

SHOWN = 6
"""Allowed values that a sentence may hold; more are a list that nobody reads."""
_STARTS = {"is below": "bounds", "is above": "bounds", "is not one of": "allowed", "is no IBAN": "iban",
           "is no card": "card", "does not match": "form", "longer than": "long", "was refused": "refused"}
"""The beginning of a fault, as runs keep it, to what is said of it."""
_REASONS = {
    "en": {"number": "a number", "money": "an amount", "both": "Please give {kind} from {low} to {high}.",
           "low": "Please give {kind} of at least {low}.", "high": "Please give {kind} of at most {high}.",
           "allowed": "Please choose one of these: {values}.",
           "iban": "It is not a valid IBAN: please check its letters and digits.",
           "card": "It is not a valid card number: please check its digits.",
           "form": "It is not in the right form.", "long": "It is too long.", "refused": "It could not be confirmed."},
    "fr": {"number": "un nombre", "money": "un montant", "both": "Indiquez {kind} de {low} à {high}.",
           "low": "Indiquez {kind} d'au moins {low}.", "high": "Indiquez {kind} d'au plus {high}.",
           "allowed": "Choisissez parmi : {values}.",
           "iban": "Ce n'est pas un IBAN valable : vérifiez les lettres et les chiffres.",
           "card": "Ce n'est pas un numéro de carte valable : vérifiez les chiffres.",
           "form": "Le format n'est pas le bon.", "long": "Elle est trop longue.",
           "refused": "Elle n'a pas pu être confirmée."},
    "de": {"number": "eine Zahl", "money": "einen Betrag", "both": "Bitte nennen Sie {kind} von {low} bis {high}.",
           "low": "Bitte nennen Sie {kind} von mindestens {low}.",
           "high": "Bitte nennen Sie {kind} von höchstens {high}.",
           "allowed": "Bitte wählen Sie aus: {values}.",
           "iban": "Das ist keine gültige IBAN: Bitte prüfen Sie Buchstaben und Ziffern.",
           "card": "Das ist keine gültige Kartennummer: Bitte prüfen Sie die Ziffern.",
           "form": "Die Form stimmt nicht.", "long": "Sie ist zu lang.",
           "refused": "Sie ließ sich nicht bestätigen."},
    "es": {"number": "un número", "money": "un importe", "both": "Indique {kind} de {low} a {high}.",
           "low": "Indique {kind} no menor que {low}.", "high": "Indique {kind} no mayor que {high}.",
           "allowed": "Elija una de estas opciones: {values}.",
           "iban": "No es un IBAN válido: compruebe las letras y las cifras.",
           "card": "No es un número de tarjeta válido: compruebe las cifras.",
           "form": "El formato no es correcto.", "long": "Es demasiado larga.",
           "refused": "No se ha podido confirmar."},
    "it": {"number": "un numero", "money": "un importo", "both": "Indichi {kind} da {low} a {high}.",
           "low": "Indichi {kind} non inferiore a {low}.", "high": "Indichi {kind} non superiore a {high}.",
           "allowed": "Scelga tra: {values}.",
           "iban": "Non è un IBAN valido: controlli le lettere e le cifre.",
           "card": "Non è un numero di carta valido: controlli le cifre.",
           "form": "Il formato non è corretto.", "long": "È troppo lunga.",
           "refused": "Non è stato possibile confermarla."},
    "nl": {"number": "een getal", "money": "een bedrag", "both": "Geef {kind} van {low} tot en met {high}.",
           "low": "Geef {kind} van minstens {low}.", "high": "Geef {kind} van hoogstens {high}.",
           "allowed": "Kies uit: {values}.",
           "iban": "Het is geen geldig IBAN: controleer de letters en cijfers.",
           "card": "Het is geen geldig kaartnummer: controleer de cijfers.",
           "form": "De vorm klopt niet.", "long": "Het is te lang.", "refused": "Het kon niet worden bevestigd."},
    "pt": {"number": "um número", "money": "um valor", "both": "Indique {kind} de {low} a {high}.",
           "low": "Indique {kind} não inferior a {low}.", "high": "Indique {kind} não superior a {high}.",
           "allowed": "Escolha uma destas opções: {values}.",
           "iban": "Não é um IBAN válido: verifique as letras e os algarismos.",
           "card": "Não é um número de cartão válido: verifique os algarismos.",
           "form": "O formato não está correto.", "long": "É demasiado longa.",
           "refused": "Não foi possível confirmá-la."},
}


def reason(field: CompiledField, fault: str, language: str) -> str:
    """A sentence in the person's language (English where there is none) for a fault of the field; empty where nothing
    helps them."""
    texts = _REASONS.get(language[:2], _REASONS["en"])
    said = next((kind for start, kind in _STARTS.items() if fault.startswith(start)), "")
    if said == "bounds":
        return _bounds(field, texts, "." if language[:2] not in _REASONS or language[:2] == "en" else ",")
    if said == "allowed":
        values = field.spec.allowed
        return texts[said].format(values=", ".join(values)) if len(values) <= SHOWN else ""
    return texts.get(said, "")


def _bounds(field: CompiledField, texts: dict[str, str], point: str) -> str:
    low, high = field.spec.minimum, field.spec.maximum
    which = "both" if low is not None and high is not None else "low" if high is None else "high"
    return texts[which].format(kind=texts["money" if field.kind == "money" else "number"], low=_figure(low, point),
                               high=_figure(high, point))


def _figure(number: float | None, point: str) -> str:
    """As people write it: `1000000`, never `1e+06`; `0.5` or `0,5`."""
    return f"{number or 0:f}".rstrip("0").rstrip(".").replace(".", point)
