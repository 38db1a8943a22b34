#!/usr/bin/env bash
# Recorded voices for `preprocess --layout=midi --voices=OUTPUT`, from free speech synthesisers that
# are built from people's recordings: on Debian,
#   apt-get install flite festival festvox-kdlpc16k festvox-suopuhe-lj festvox-suopuhe-mv
# and for --unseen, which makes other voices than training hears, festvox-ca-ona-hts.
# Usage: launch/voices.sh OUTPUT [--unseen]. Put recordings of singers into OUTPUT, too.
set -euo pipefail

output=${1:?say a folder for the voices}
texts=$(mktemp -d)
trap 'rm -r "$texts"' EXIT
mkdir -p "$output"

cat > "$texts/english" <<'TEXT'
Over the valley a slow warm wind is moving the yellow corn.
She told me that the river never sleeps before the morning.
We were only dreaming while the city lights were burning low.
Take my hand and follow where the old road turns to the sea.
I heard the rain upon the window and I thought about your name.
Nobody knows how far the silver moon can roll away tonight.
Give me one more reason to believe in all the things you say.
Young hearts run faster than the shadows on the garden wall.
Please remember every little word we whispered in the dark.
All our summers fade to winter, all our rivers find the shore.
Maybe tomorrow there will be a brighter sky above the town.
You and I could be together, singing louder than before.
How does it feel to wander home with nothing left to lose?
Babies laugh and mothers worry, fathers joke and children play.
The music in the measure of the engine made the villages glow.
Choose a treasure, judge a picture, thank the father, breathe the air.
Oh, my love, oh, my lonely love, wait for me.
Ten thousand voices rise and fall around the open fire.
Do not go, do not go, stay a while and hold me near.
Fly away on paper wings and never look behind you.
TEXT
iconv -f utf8 -t latin1 > "$texts/finnish" <<'TEXT'
Laulan sinulle laulun vanhasta talosta, jossa tuuli soi ja meri nukkuu.
Minä olen täällä, sinä olet siellä, ja välissämme virtaa hiljainen joki.
Kesäyö on valoisa, linnut laulavat, koivun lehdet kuiskaavat hiljaa.
Älä mene vielä pois, odota hetki, aurinko nousee kohta.
Kuule kuinka sade soittaa ikkunaan, muistan nimesi ja hymysi.
Rakkaani, oma rakkaani, minne matkasi vie, milloin palaat kotiin.
TEXT
cat > "$texts/catalan" <<'TEXT'
Canta la lluna damunt la mar, i el vent s'endu les paraules.
No te'n vagis encara, espera una mica, el sol ja surt.
La nit es llarga i el cami es blanc, camino sol fins a casa.
Dona'm la ma i anem lluny, on les muntanyes dormen.
Sento la pluja a la finestra i penso en el teu nom.
TEXT

flite_voice() { flite -voice "$1" -f "$texts/english" -o "$output/flite_$1.wav"; }
festival_voice() { text2wave -eval "(voice_$1)" "$texts/$2" -o "$output/fest_$3.wav"; }

if [[ ${2:-} == --unseen ]]; then
  flite_voice kal16
  festival_voice upc_ca_ona_hts catalan ona
else
  for voice in awb rms slt; do flite_voice "$voice"; done
  festival_voice ked_diphone english ked
  festival_voice suo_fi_lj_diphone finnish lj
  festival_voice hy_fi_mv_diphone finnish mv
fi
