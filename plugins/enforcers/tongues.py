"""Which language a text is in: by its script, then by little words and by letters that few languages have."""

from __future__ import annotations

import re
from collections import Counter

_RANGES = (
    ("kana", 0x3040, 0x30FF), ("ko", 0xAC00, 0xD7AF), ("han", 0x4E00, 0x9FFF), ("cyrillic", 0x0400, 0x04FF),
    ("el", 0x0370, 0x03FF), ("he", 0x0590, 0x05FF), ("arabic", 0x0600, 0x06FF), ("devanagari", 0x0900, 0x097F),
    ("bn", 0x0980, 0x09FF), ("pa", 0x0A00, 0x0A7F), ("gu", 0x0A80, 0x0AFF), ("ta", 0x0B80, 0x0BFF),
    ("te", 0x0C00, 0x0C7F), ("kn", 0x0C80, 0x0CFF), ("ml", 0x0D00, 0x0D7F), ("th", 0x0E00, 0x0E7F),
    ("hy", 0x0530, 0x058F), ("ka", 0x10A0, 0x10FF),
)
_LITTLE = {
    "latin": {
        "en": "the and of to is in that it for you with are this be on have not was we your can at will from by or",
        "de": "der die das und ist nicht ein eine zu mit den von sie wir auf für im es wird auch sich dem werden oder",
        "fr": "le la les et est une des pour que dans qui vous nous pas avec sur ce au du il sont votre par ou mais",
        "es": "el la los las y es una de que para con por su en no se del al lo como más pero usted está muy",
        "it": "il lo la gli e è una di che per con non si del della sono nel alla anche più come ma questo i le",
        "nl": "de het een en is van niet dat met voor op zijn we je uw ook aan wordt naar om bij maar wij u",
        "pt": "o a os as e é uma de que para com não por do da em se no na mais como você seu sua são está ao",
        "pl": "i w na nie jest się z do że to jak od po dla o są przez ale był oraz może tego być czy",
        "sv": "och är att det en som på för med inte av till den ett vi har om kan du ni från men eller",
        "da": "og er at det en som på for med ikke af til den et vi har om kan du fra men eller de blev hvad",
        "no": "og er at det en som på for med ikke av til den et vi har om kan du fra men eller dere hva ble",
        "fi": "ja on ei se että hän oli ovat kun mutta tai myös joka niin voi sen ole kuin sekä meidän tämä me te",
        "vi": "và là của có không được cho các một những với này đã trong người chúng tôi bạn để khi từ sẽ rất",
        "sw": "na ya wa ni kwa katika la za hii kuwa yako sisi wewe au lakini kama hiyo wote sana vya cha pia mimi",
        "ro": "și este nu în de la cu pe pentru un o care sunt mai din să că ce sau vă noastră fi dar",
        "cs": "a je se na že to v nebo jsou jak ale pro být byl po za s tak může také jeho vás náš",
        "hu": "a az és nem hogy egy van is ez meg csak de már vagy azt volt mint ön fel itt",
        "tr": "ve bir bu için ile de da çok ne değil olarak daha en gibi var ama siz biz olan kadar",
        "id": "dan yang di ini itu dengan untuk tidak dari dalam pada adalah akan ke kami anda bisa atau juga",
    },
    "cyrillic": {
        "ru": "и в не на что с это как по но для вы мы он от так из у за же есть ваш если или",
        "uk": "і в не на що з це як по але для ви ми він від так із у за ж є ваш якщо або та",
        "bg": "и в не на че с това как по но за вие ние той от така из са съм ще да се ли или е",
        "sr": "и у не на да с је како по али за ви ми он од тако из су сам ће се или што",
    },
    "devanagari": {
        "hi": "है और का की के में को से यह हम आप नहीं पर एक ने हैं था भी कि लिए",
        "mr": "आहे आणि चा ची चे मध्ये ला हे आम्ही तुम्ही नाही एक आहेत होते पण की साठी या तो ती",
        "ne": "छ र को मा लाई यो हामी तपाईं होइन एक छन् थियो पनि कि लागि छैन हो गर्न हुन्छ",
    },
    "arabic": {
        "ar": "في من على أن هذا هذه التي إلى لا ما مع هو هي كان أو عن كل قد نحن أنت",
        "fa": "و در به از که این را است با برای آن یک ما شما می هم تا یا نیست بر",
        "ur": "ہے اور کا کی کے میں کو سے یہ ہم آپ نہیں پر ایک نے ہیں تھا بھی کہ لیے",
    },
}
_LETTERS = {
    "cyrillic": {"ru": "ыэё", "uk": "іїєґ", "bg": "ъщ", "sr": "јљњћђџ"},
    "devanagari": {"mr": "ळ", "ne": "", "hi": "ड़ढ़"},
    "arabic": {"fa": "پچژگکی", "ur": "ٹڈڑںہےھ", "ar": "ةيكىإأ"},
    "latin": {"vi": "ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ", "pl": "ąćęłńśźż", "ro": "țș",
              "cs": "ěřů", "hu": "őű", "tr": "ışğ", "de": "ßäöü", "sv": "åäö", "da": "æøå", "no": "æøå", "es": "ñ¿¡",
              "pt": "ãõç", "fi": "äö"},
}
_WORDS = {script: {code: frozenset(words.split()) for code, words in tongues.items()}
          for script, tongues in _LITTLE.items()}
TONGUES = frozenset({name for name, _, _ in _RANGES if len(name) == 2} | {"ja", "zh"}
                    | {code for tongues in _LITTLE.values() for code in tongues})
"""The codes (ISO 639-1) that can be told."""
READ = 4_000
"""Characters that are read."""
_WORD = re.compile(r"[^\W\d_][\w\u0900-\u0dff'’]*")


def language_of(text: str) -> str | None:
    """The code of the language, None when the text shows too little to tell."""
    lower = text[:READ].lower()
    scripts = Counter(_script(char) for char in lower if char.isalpha())
    if not scripts:
        return None
    if scripts["kana"] and scripts["kana"] + scripts["han"] > scripts["latin"]:
        return "ja"
    script = max(scripts, key=lambda name: (scripts[name], name))
    if script == "han":
        return "zh"
    return _among(script, lower) if script in _WORDS else script or None


def _script(char: str) -> str:
    code = ord(char)
    if code < 0x0370 or 0x1E00 <= code < 0x1F00:
        return "latin"
    return next((name for name, first, last in _RANGES if first <= code <= last), "")


def _among(script: str, lower: str) -> str | None:
    """The leader by little words and own letters; nobody where the first two are level."""
    words = Counter(_WORD.findall(lower))
    letters = Counter(lower)
    scores = {code: sum(words[word] for word in own) + sum(letters[char] for char in
                                                          _LETTERS.get(script, {}).get(code, "")) * 0.5
              for code, own in _WORDS[script].items()}
    ranked = sorted(scores.items(), key=lambda one: (-one[1], one[0]))
    return ranked[0][0] if ranked[0][1] > ranked[1][1] else None
