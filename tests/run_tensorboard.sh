# Logger tensorboard, read back by TensorBoard itself where that is installed (`make judge`): every
# scalar and sample of a run that was stopped and resumed.
. "$abs_top_srcdir/tests/run.sh"

python=$abs_top_builddir/judge-venv/bin/python
[ -x "$python" ] || python=$(command -v python3) || skip 'no python3'
"$python" -c 'from tensorboard.backend.event_processing import event_accumulator' 2>/dev/null ||
    skip 'no TensorBoard: make judge'

for i in 1 2 3 4 5 6 7 8 9; do printf 'émile%s\nanna\nzoë\n' $i; done >data.txt
c="-q --set dataset.path=data.txt --set logger.use=console,jsonl,tensorboard --set backend.use=cpu
    --set train.val_every=10 --set train.val_train=true --set train.checkpoint_every=20 --dir tb"
run 0 train -c "$ini" $c --steps 50 --samples 0
# What a killed run leaves behind its checkpoint is replaced: go back to step 40.
rm -r tb/checkpoints/step-50
ln -sfn checkpoints/step-40 tb/latest
ln -sfn checkpoints/step-40 tb/best
run 0 train $c --resume --steps 200 --samples 5
mv out printed
PYTHONDONTWRITEBYTECODE=1 "$python" "$abs_top_srcdir/tests/judge/tensorboard_log.py" tb printed \
    200 2>err || {
    sed 's/^/  err: /' err | tail -5 >&2
    exit 1
}
