"""Common given names of several languages: a word of these that is written large is taken for a person."""

_NAMES = """
aaron abdul adam adrian ahmed alan albert alejandro alessandro alex alexander alexandra alexis alfred ali alice alicia
amanda amber amelia amir amy ana andrea andreas andrei andrew angela angelica anika anita ann anna anne annette annie
anthony anton antonio april arne arthur ashley astrid audrey barbara beatrice ben benjamin bernard bernd beth betty
bianca bill bob boris brad brandon brenda brian bridget bruce bruno caleb cameron carl carla carlos carmen carol
caroline carolyn catherine cecilia charles charlotte chen cheryl chloe chris christian christina christine christopher
cindy claire clara claudia colin colleen connor craig cristina crystal cynthia daniel daniela danielle david dawn
deborah debra denis dennis diana diane diego dirk dmitri dominic donald donna dorothy douglas dustin dylan edgar edith
edward eduardo elena eleanor elias elisabeth elizabeth ella ellen emily emma enrique eric erica erik erin ernest
estelle esther ethan eugene eva evan evelyn fabian fatima felix fernando filip florian frances francesca francesco
francis francisco frank franz fred frederick fritz gabriel gabriela gary geoffrey george gerald gerhard giovanni
giulia gloria grace greg gregory greta guillermo gustav hannah hans harold harry hassan heather heidi helen helena
helga henri henrik henry herbert holly hugo ian ibrahim igor ines ingrid irene iris isaac isabel isabella ivan jack
jackson jacob jacqueline jakob james jamie jan jane janet janice jasmine jason javier jean jeff jeffrey jennifer
jeremy jerry jesse jessica jesus jill jim joan joanna joe joel johan johanna johannes john johnny jonas jonathan
jordan jorge jose josef joseph joshua joyce juan juanita judith judy julia julian julie julio jun jurgen justin karen
karin karl kate katherine kathleen kathryn katie kathy keith kelly ken kendra kenneth kevin kim kristen kristin
kristina kurt kyle lars laura lauren laurent lea leah lee lena leo leon leonard leonardo lewis liam lily linda lisa
logan lorenzo louis louise luca lucas lucia lucy luigi luis luke luisa maciej madison magdalena mali manuel marc
marcel marco marcus margaret maria mariam marie marilyn mario marion mark markus marta martha martin martina mary
mateo matteo matthew matthias maurice max maya megan mei melanie melissa michael michaela michel michelle miguel mike
mila miriam mohamed mohammed monica monika muhammad nadia nancy naomi natalia natalie natasha nathan nicholas nicolas
nicole nigel nikolai nina noah noel nora norbert olga oliver olivia omar oscar otto pablo pamela paolo pascal patricia
patrick paul paula pauline pedro peggy peter petra philip philipp phillip phyllis pierre priya rachel rafael rajesh
ralph ramon rania raul raymond rebecca regina renate rene ricardo richard rick rita robert roberto robin rodrigo roger
roland roman ronald rosa rosemary roy russell ruth ryan sabine sally sam samantha samuel sandra sara sarah satoshi
scott sean sebastian sergei sergio shannon sharon shawn sheila shelby shirley silvia simon sofia sonia sophia sophie
stanley stefan stella stephan stephanie stephen steve steven stuart susan susanne svetlana sven sylvia tamara tanja
tanya tara taylor ted teresa terry theo theodore theresa thomas tiffany tim timothy tina todd tom tomas tony tracy
travis tyler ulrich ursula valentina valerie vanessa vera veronica victor victoria vincent virginia vladimir walter
wanda wei wendy werner wesley william willem wolfgang xavier yan yasmin yolanda yuki yusuf yvonne zachary zoe
"""
GIVEN = frozenset(_NAMES.split())
